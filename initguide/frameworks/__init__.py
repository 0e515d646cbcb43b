"""Default initializations of PyTorch, Keras, Flax, Equinox and Haiku.

The tests build every layer in its framework and compare the values with the record.
"""

import lazy_loader

# `__init__.pyi` lists the names. Each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
