"""Draw rows: one visual grammar for the whole guide. Nothing is computed here but means over seeds.

Text, axes and grid have matplotlib's own settings, so that a figure fits a light page and a dark
one alike. A method keeps its colour and its marker everywhere.
"""

from initguide.plotting.by_seed import curves as curves
from initguide.plotting.by_seed import gradients as gradients
from initguide.plotting.by_seed import signals as signals
from initguide.plotting.panels import histograms as histograms
from initguide.plotting.panels import matrix as matrix
from initguide.plotting.report import report as report
from initguide.plotting.style import COLORS as COLORS
from initguide.plotting.style import shared_legend as shared_legend
