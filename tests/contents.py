"""What an object holds, in a form that can be compared."""

import functools
import io
import itertools
import logging
import random
import threading
import types
from collections import deque

import numpy as np
import torch
from torch import Tensor


def content(value, seen=None):
    """Return a value's content in a form that can be compared, with the identity of each object."""
    seen = {} if seen is None else seen
    kind = type(value)
    if kind in (int, float, bool, str, bytes, type(None)):
        return value
    if id(value) in seen:
        return "seen", id(value)
    seen[id(value)] = value
    parts = [id(value), kind.__name__]
    if isinstance(value, Tensor):
        array = value.detach().contiguous().flatten().view(torch.uint8).numpy()
        parts += [hash(array.tobytes()), value.requires_grad, value.data_ptr()]
    elif isinstance(value, dict):
        parts += [(content(key, seen), content(each, seen)) for key, each in dict.items(value)]
        parts += [list(value)]
    elif isinstance(value, (list, tuple, set, deque)):
        parts += [content(each, seen) for each in value]
    elif isinstance(value, types.FunctionType):
        parts += [content(value.__defaults__, seen), content(vars(value), seen)]
        parts += [content(cell.cell_contents, seen) for cell in value.__closure__ or ()]
    elif isinstance(value, functools.partial):
        parts += [content(value.args, seen)]
    elif hasattr(value, "cache_info"):
        parts += [value.cache_info()]
    elif isinstance(value, types.GeneratorType):
        parts += [value.gi_frame and value.gi_frame.f_lasti]
    elif isinstance(value, (itertools.count, itertools.cycle, type(iter([])))):
        parts += [repr(value.__reduce__())]
    elif isinstance(value, io.IOBase):
        parts += [value.getvalue(), value.tell()] if isinstance(value, io.StringIO) else []
    elif isinstance(value, (np.random.Generator, random.Random)):
        get = (
            value.getstate
            if isinstance(value, random.Random)
            else lambda: value.bit_generator.state
        )
        parts += [str(get())]
    elif isinstance(value, bytearray):
        parts += [bytes(value)]
    elif isinstance(value, np.ndarray):
        held = value.tolist() if value.dtype.hasobject else [value.tobytes()]
        parts += [content(each, seen) for each in held]
    elif isinstance(value, torch.Generator):
        parts += [value.get_state().tolist()]
    elif isinstance(value, (type, types.ModuleType, logging.Logger, threading.Thread)):
        return tuple(parts)
    else:
        slots = [name for base in kind.__mro__ for name in getattr(base, "__slots__", ())]
        held = {
            n: getattr(value, n, "unset") for n in slots if n not in ("__dict__", "__weakref__")
        }
        held |= getattr(value, "__dict__", {})
        parts += [(name, content(each, seen)) for name, each in held.items()]
    return tuple(parts)
