"""The guide's experiments: a seeded configuration in, rows out; global random state untouched."""

import lazy_loader

# The names stand in `__init__.pyi`, and each is loaded when it is first used.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
