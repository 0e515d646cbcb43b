"""Figures of rows, in one style for the whole guide; only averages over seeds are computed here.

Text, axes and grid keep matplotlib's settings, so that a figure fits light pages and dark pages. A
method has the same colour and marker in all figures.
"""

import lazy_loader

# `__init__.pyi` lists the names. Each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
