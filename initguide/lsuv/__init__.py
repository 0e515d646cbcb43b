"""LSUV: scale each layer of a model until its output has unit variance on a batch."""

import lazy_loader

# The names stand in `__init__.pyi`, and each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
