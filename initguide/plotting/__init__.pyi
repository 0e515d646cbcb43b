from .curves import curves as curves
from .curves import gradients as gradients
from .curves import signals as signals
from .panels import histograms as histograms
from .panels import matrix as matrix
from .report import report as report
from .style import COLORS as COLORS
from .style import shared_legend as shared_legend
