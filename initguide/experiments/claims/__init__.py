"""Claims of papers that the guide tests: one file per claim, one line in the registry."""

import lazy_loader

# `__init__.pyi` lists the names. Each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
