"""The guide's experiments: a seeded configuration in, rows out; global random state untouched."""

from initguide.experiments.data import Data as Data
from initguide.experiments.data import digits as digits
from initguide.experiments.models import INITIALIZATIONS as INITIALIZATIONS
from initguide.experiments.models import Initializer as Initializer
from initguide.experiments.models import each_linear as each_linear
from initguide.experiments.models import mlp as mlp
from initguide.experiments.models import pytorch_default as pytorch_default
from initguide.experiments.signals import activations as activations
from initguide.experiments.signals import gradients as gradients
from initguide.experiments.signals import signals_by_depth as signals_by_depth
from initguide.experiments.together import fit_all as fit_all
from initguide.experiments.training import fit as fit
from initguide.experiments.training import train as train
