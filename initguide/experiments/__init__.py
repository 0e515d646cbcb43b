"""The guide's experiments: seeded functions that return rows and keep global random states."""

import lazy_loader

# `__init__.pyi` lists the names. Each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
