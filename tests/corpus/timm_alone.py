"""Import timm without torchvision, which timm needs for its data sets but not for its models.

The CPU build of torch cannot load the torchvision of the package registry. So while timm is
imported, each name of torchvision stands for a class that nothing uses.
"""

import importlib.abc
import importlib.machinery
import sys
import types


class Unused(type):
    """A class whose attributes are such classes."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Unused(name, (), {})


class StandIn(types.ModuleType):
    def __getattr__(self, name):
        return getattr(Unused("torchvision", (), {}), name)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, fullname, path, target=None):
        if fullname.partition(".")[0] == "torchvision":
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


before = {name for name in sys.modules if name.partition(".")[0] == "torchvision"}
finder = Finder()
sys.meta_path.insert(0, finder)
try:
    import timm as timm
finally:
    sys.meta_path.remove(finder)
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        if name not in before:
            del sys.modules[name]
