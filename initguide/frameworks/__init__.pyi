from .defaults import DEFAULTS as DEFAULTS
from .defaults import LAYER_KINDS as LAYER_KINDS
from .record import Default as Default
from .record import Distribution as Distribution
