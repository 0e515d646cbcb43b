"""What PyTorch, Keras, Flax, Equinox and Haiku draw where nobody says what to draw.

The tests build every layer in the framework itself and hold each record against it.
"""

import lazy_loader

# The names stand in `__init__.pyi`, and each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
