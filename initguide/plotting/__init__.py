"""Draw rows: one visual grammar for the whole guide. Nothing is computed here but means over seeds.

Text, axes and grid have matplotlib's own settings, so that a figure fits a light page and a dark
one alike. A method keeps its colour and its marker everywhere.
"""

import lazy_loader

# The names stand in `__init__.pyi`, and each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
