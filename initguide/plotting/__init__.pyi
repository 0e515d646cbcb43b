from .by_seed import curves as curves
from .by_seed import gradients as gradients
from .by_seed import signals as signals
from .panels import histograms as histograms
from .panels import matrix as matrix
from .report import report as report
from .style import COLORS as COLORS
from .style import shared_legend as shared_legend
