"""Neural-network initialization: a superset of `torch.nn.init`, in PyTorch and in NumPy."""

import lazy_loader

__version__ = "0.1.0"

# The names stand in `__init__.pyi`, and each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
