"""Forwards with side effects, and a fingerprint of all that they could change."""

# Global generators and lists that all objects of a class share are side effects, and meant.
# ruff: noqa: NPY002, RUF012

import collections
import dataclasses
import functools
import io
import itertools
import logging
import queue
import random
import sys
import threading
import types
import warnings
import weakref
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

WIDTH = 256
LOG, TABLE, STEPS, SEEN, TICKS = [], {"calls": []}, 0, set(), itertools.count()
LOGGER, RECORDS = logging.getLogger(__name__), []
RUNNING = torch.zeros(3)


class Handler(logging.Handler):
    def emit(self, record):
        RECORDS.append(record)


LOGGER.addHandler(Handler())
LOGGER.setLevel("DEBUG")
LOGGER.propagate = False


class Statistics:
    """A global object that counts."""

    def __init__(self):
        self.calls, self.shapes = 0, []

    def note(self, x):
        self.calls += 1
        self.shapes.append(x.shape)


STATISTICS = Statistics()


class Base(nn.Module):
    """Two layers; a subclass adds a side effect in `effect`."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 10)

    def effect(self, x):
        return x

    def forward(self, x):
        y = self.effect(torch.relu(self.first(x)))
        return self.last(x if y is None else y)


class AppendsToList(Base):
    def __init__(self):
        super().__init__()
        self.losses, self.both = [], ([], {"inner": []})

    def effect(self, x):
        self.losses.append(x.mean())
        self.both[0].append(x)
        self.both[1]["inner"].append([x])
        return x


class AppendsToDeque(Base):
    def __init__(self):
        super().__init__()
        self.recent = deque([torch.zeros(1)], maxlen=2)

    def effect(self, x):
        self.recent.append(x)
        return x


class FillsDicts(Base):
    def __init__(self):
        super().__init__()
        self.groups, self.counts, self.order = defaultdict(list), Counter(), OrderedDict(a=1, b=2)

    def effect(self, x):
        self.groups["x"].append(x)
        self.counts["calls"] += 1
        self.order.move_to_end("a")
        self.order["new"] = x
        return x


class AppendsToGlobals(Base):
    def effect(self, x):
        LOG.append(x)
        TABLE["calls"].append(x)
        SEEN.add(len(LOG))
        return x


class CountsInGlobal(Base):
    def effect(self, x):
        global STEPS, ADDED_BY_FORWARD
        STEPS += 1
        ADDED_BY_FORWARD = x
        return x * next(TICKS)


class WritesGlobalTensor(Base):
    def effect(self, x):
        RUNNING.add_(1)
        return x


def helper(x):
    STATISTICS.note(x)
    TABLE.setdefault("helped", x)
    return x


class CallsHelper(Base):
    def effect(self, x):
        return helper(x)


class Frozen(OrderedDict):
    """A configuration that refuses to be changed, as in libraries of diffusion models."""

    def update(self, *args, **kwargs):
        raise TypeError("a frozen dict cannot be updated")

    __setitem__ = setdefault = pop = clear = __delitem__ = update


class HasFrozenConfig(Base):
    def __init__(self):
        super().__init__()
        self.config = Frozen()
        OrderedDict.__setitem__(self.config, "scale", 2.0)
        self.internal = types.MappingProxyType({"a": [1]})

    def effect(self, x):
        return x * self.config["scale"]


class OwnBatchNorm(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("running_mean", torch.full((WIDTH,), 5.0))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def effect(self, x):
        self.steps += 1
        self.running_mean.mul_(0.9).add_(0.1 * self.running_mean)
        self.running_mean[0] = 3.0
        return x - self.running_mean


class Codebook(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("codes", torch.ones(16, WIDTH))
        self.usage = torch.zeros(16)

    def effect(self, x):
        self.codes.data.mul_(0.99)
        self.usage.data.add_(1)
        self.codes = self.codes + 1
        return x


class CountsSteps(Base):
    calls = 0

    def __init__(self):
        super().__init__()
        self.step = 0

    def effect(self, x):
        self.step += 1
        CountsSteps.calls += 1
        type(self).last_input = x
        return x


class RegistersInClass(Base):
    registry, by_name = [], {"x": []}

    def effect(self, x):
        self.registry.append(self)
        RegistersInClass.by_name["x"].append(x)
        return x


class CachesByKey(Base):
    def __init__(self):
        super().__init__()
        self.cache = {}

    def effect(self, x):
        key = (x.shape[-1], str(x.dtype))
        if key not in self.cache:
            self.cache[key] = torch.ones(WIDTH)
        self.mask = torch.ones(3)
        return x * self.cache[key]


@functools.lru_cache
def mask(rows, columns):
    LOG.append(rows)
    return torch.ones(WIDTH)


class UsesCachedFunction(Base):
    @functools.lru_cache(maxsize=8)  # noqa: B019 - a cache that keeps the model is the side effect
    def own(self, size):
        return size

    def effect(self, x):
        self.own(x.shape[-1])
        return x * mask(x.shape[0], x.shape[-1])


class Logs(Base):
    def effect(self, x):
        LOGGER.warning("forward on %s", x)
        print("printed by a forward")
        print("printed by a forward", file=sys.stderr)
        warnings.warn("warned by a forward", stacklevel=1)
        return x


def closed_over():
    """Return a model whose forward reads variables of a function."""
    seen, calls = [], 0

    class Closed(Base):
        def effect(self, x, store=[]):  # noqa: B006 - so is a default that all calls share
            nonlocal calls
            calls += 1
            seen.append(x)
            store.append(x)
            return x

    return Closed()


def decorated(function):
    function_calls = []

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        function_calls.append(args)
        wrapper.calls += 1
        return function(*args, **kwargs)

    wrapper.calls = 0
    return wrapper


class Decorated(Base):
    @decorated
    def effect(self, x):
        return x


class HoldsFunction(Base):
    def __init__(self):
        super().__init__()
        store = []
        self.function = lambda x: store.append(x) or x
        self.partial = functools.partial(lambda kept, x: kept.append(x) or x, store)
        self.push = self.pushed().append

    def pushed(self):
        self.items = []
        return self.items

    def effect(self, x):
        self.push(x)
        return self.partial(self.function(x))


class SetsAttributes(Base):
    """Notes every attribute that is set."""

    def __init__(self):
        object.__setattr__(self, "history", [])
        super().__init__()

    def __setattr__(self, name, value):
        self.history.append(name)
        super().__setattr__(name, value)

    def effect(self, x):
        self.scale = 2
        return x * self.scale


class Slotted:
    __slots__ = ("count", "items", "unset")

    def __init__(self):
        self.count, self.items = 0, []


class HoldsSlots(Base):
    def __init__(self):
        super().__init__()
        self.slotted = Slotted()

    def effect(self, x):
        self.slotted.count += 1
        self.slotted.items.append(x)
        self.slotted.unset = 1
        return x


class KeyCache:
    def __init__(self):
        self.keys, self.length = [], 0

    def update(self, x):
        self.keys.append(x)
        self.length += 1
        return x


class HoldsKeyCache(Base):
    def __init__(self):
        super().__init__()
        self.kv = KeyCache()
        self.again = {"cache": self.kv}

    def effect(self, x):
        return self.again["cache"].update(x)


class Draws(Base):
    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)
        self.own = random.Random(0)
        self.source = torch.Generator().manual_seed(0)

    def effect(self, x):
        number = random.random() + np.random.rand() + self.rng.random() + self.own.random()
        noise = torch.randn(WIDTH) + torch.randn(WIDTH, generator=self.source)
        return x + noise * number


class TogglesTraining(Base):
    def effect(self, x):
        self.train(not self.training)
        self.first.eval()
        self.first.requires_grad_(False)
        return x


class RegistersHooks(Base):
    def effect(self, x):
        self.first.register_forward_hook(lambda *_: None)
        self.register_buffer("late", torch.ones(1))
        self.extra = nn.Linear(3, 3)
        return x


class HasWeakReferences(Base):
    def __init__(self):
        super().__init__()
        self.target = KeyCache()
        self.reference, self.proxy = weakref.ref(self.target), weakref.proxy(self.target)
        self.weak = weakref.WeakKeyDictionary({self.target: [1]})
        self.named = weakref.WeakValueDictionary({"cache": self.target})

    def effect(self, x):
        self.named["cache"].update(x)
        self.reference().update(x)
        self.proxy.update(x)
        for value in self.weak.values():
            value.append(x)
        return x


class HasProperty(Base):
    def __init__(self):
        super().__init__()
        self.reads = 0

    @property
    def scale(self):
        self.reads += 1
        LOG.append("read")
        return 2.0

    def effect(self, x):
        return x * self.scale


class HoldsGenerator(Base):
    def __init__(self):
        super().__init__()
        self.numbers = (number for number in range(100))
        self.cycle, self.listed = itertools.cycle([1, 2, 3]), iter([1, 2, 3])

    def effect(self, x):
        return x * next(self.cycle) * next(self.listed) * next(self.numbers)


class HoldsLock(Base):
    """A lock, a file, a module and a thread cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock, self.file, self.module = threading.RLock(), io.StringIO("text"), np
        self.thread, self.queue = threading.current_thread(), queue.Queue()
        self.file.seek(4)

    def effect(self, x):
        with self.lock:
            self.file.write("written")
            self.queue.put(x)
        return x * float(self.module.ones(()))


class HoldsItself(Base):
    def __init__(self):
        super().__init__()
        self.cycle = [self]
        self.cycle.append(self.cycle)
        object.__setattr__(self, "parent", self)
        self.nothing = self.first.forward

    def effect(self, x):
        self.cycle[0].cycle.append(x)
        self.parent.found = x
        return x


class HasFinalizer(Base):
    """Its end is counted, as where an object closes a handle."""

    def __del__(self):
        LOG.append("deleted")


class CatchesErrors(Base):
    """Swallows the error that a symbol raises, and keeps it."""

    def __init__(self):
        super().__init__()
        self.errors = []

    def effect(self, x):
        try:
            if x.sum() > 0:
                return x
        except Exception as error:
            self.errors.append(error)
        return x


class ChangesSettings(Base):
    def effect(self, x):
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.manual_seed(7)
        return x


class FailsLate(Base):
    """Changes everything, and then raises."""

    def effect(self, x):
        LOG.append(x)
        self.kept = x
        STATISTICS.note(x)
        raise RuntimeError("late")


class LoopsOnSizes(Base):
    def effect(self, x):
        n = x.shape[0]
        while n >= 2:
            n //= 2
            LOG.append(n)
        return x


class BranchesOnValues(Base):
    def effect(self, x):
        TABLE["calls"].append(x)
        return torch.tanh(x) if x.mean() > 0 else x


class CountingActivation(nn.Module):
    calls = 0

    def __init__(self):
        super().__init__()
        self.inputs, self.lock = [], threading.Lock()
        self.register_buffer("slope", torch.zeros(1))

    def forward(self, x):
        CountingActivation.calls += 1
        self.inputs.append(x)
        self.slope += 1
        LOG.append(x)
        return F.elu(x)


class OwnActivation(Base):
    def __init__(self):
        super().__init__()
        self.act = CountingActivation()

    def forward(self, x):
        return self.last(self.act(self.first(x)))


class CountingNorm(nn.Module):
    calls = []

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))
        self.count = 0

    def forward(self, x):
        self.count += 1
        CountingNorm.calls.append(x)
        LOG.append(x)
        return self.weight * x / x.square().mean(-1, keepdim=True).add(1e-6).sqrt()


class OwnNorm(Base):
    def __init__(self):
        super().__init__()
        self.norm = CountingNorm()

    def effect(self, x):
        return self.norm(x)


class Doubling(nn.Module):
    """A parametrization that counts."""

    def __init__(self):
        super().__init__()
        self.calls, self.weights = 0, []

    def forward(self, weight):
        self.calls += 1
        self.weights.append(weight)
        LOG.append(weight)
        return 2 * weight

    def right_inverse(self, weight):
        return weight / 2


class Parametrized(Base):
    def __init__(self):
        super().__init__()
        parametrize.register_parametrization(self.first, "weight", Doubling())


class OwnForward(Base):
    """Its forward is an attribute of the instance."""

    def __init__(self):
        super().__init__()
        calls = []
        self.forward = lambda x: calls.append(x) or self.last(torch.relu(self.first(x)))


class Named(collections.namedtuple("Named", "items, scale")):
    """A tuple that holds a list."""


class HoldsTuple(Base):
    def __init__(self):
        super().__init__()
        self.pair = Named([], 2.0)

    def effect(self, x):
        self.pair.items.append(x)
        return x * self.pair.scale


@dataclasses.dataclass
class Counts:
    """A configuration that counts, with a container in a container."""

    calls: int = 0
    by_name: dict = dataclasses.field(default_factory=lambda: {"seen": [set(), deque()]})


class CountsInConfig(Base):
    def __init__(self):
        super().__init__()
        self.config = {"nested": [Counts()]}

    def effect(self, x):
        counts = self.config["nested"][0]
        counts.calls += 1
        counts.by_name["seen"][0].add(x.shape)
        counts.by_name["seen"][1].appendleft(x)
        return x


class WritesArrays(Base):
    def __init__(self):
        super().__init__()
        self.array, self.bytes = np.zeros((2, 3)), bytearray(b"abc")
        self.objects = np.array([[1], None], dtype=object)

    def effect(self, x):
        self.array[0] += 1
        self.bytes[0] = 0
        self.objects[0].append(2)
        self.objects[1] = "called"
        return x


class KeepsKeys(Base):
    """A cache of keys as a plain attribute, which is replaced, written to and made non-leaf."""

    def __init__(self):
        super().__init__()
        self.cache, self.written = torch.zeros(0, WIDTH), torch.zeros(WIDTH)
        self.register_buffer("mean", torch.zeros(WIDTH))

    def effect(self, x):
        self.cache = torch.cat([self.cache, x])
        self.written.data = self.written + 1
        self.mean += x.mean(0)
        return x


class WritesToItsInput(Base):
    def forward(self, x):
        return super().forward(x.mul_(2).add_(1))


class AveragesWeights(Base):
    """A second network follows the first one, as in contrastive learning."""

    def __init__(self):
        super().__init__()
        self.slow, self.slower = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    @torch.no_grad()
    def effect(self, x):
        self.slow.weight.data.mul_(0.9)[0] += 1.0
        self.slower.weight.data = 0.9 * self.slower.weight + self.first.weight
        self.slower.bias.copy_(self.first.bias)
        torch.add(self.slow.bias, 1, out=self.slow.bias)
        return x


class RemovesAndAdds(Base):
    """What the forward removes comes back, and what it adds is gone."""

    def __init__(self):
        super().__init__()
        self.plan, self.first_call = [1, 2, 3], True

    def effect(self, x):
        self.plan.pop()
        del self.first_call
        self.added = {"by": "forward"}
        self.first.register_parameter("more", nn.Parameter(x.mean()))
        return x


BUILDERS = [
    *(AppendsToList, AppendsToDeque, FillsDicts, AppendsToGlobals, CountsInGlobal),
    *(WritesGlobalTensor, CallsHelper, HasFrozenConfig, OwnBatchNorm, Codebook, CountsSteps),
    *(RegistersInClass, CachesByKey, UsesCachedFunction, Logs, closed_over, Decorated),
    *(HoldsFunction, SetsAttributes, HoldsSlots, HoldsKeyCache, Draws, TogglesTraining),
    *(RegistersHooks, HasWeakReferences, HasProperty, HoldsGenerator, HoldsLock, HoldsItself),
    *(HasFinalizer, CatchesErrors, ChangesSettings, FailsLate, LoopsOnSizes, BranchesOnValues),
    *(OwnActivation, OwnNorm, HoldsTuple, Parametrized, OwnForward, CountsInConfig),
    *(WritesArrays, KeepsKeys, WritesToItsInput, AveragesWeights, RemovesAndAdds),
]


def fingerprint(model):
    """Return all that a forward could change: of the model, of this module, of the libraries."""
    classes = {kind for module in model.modules() for kind in type(module).__mro__}
    own = [kind for kind in classes if kind.__module__ == __name__]
    return {
        "model": content(model),
        "globals": {name: content(value) for name, value in globals().items()},
        "classes": {
            (kind.__name__, name): content(value)
            for kind in own
            for name, value in vars(kind).items()
        },
        "random": (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()),
        "settings": (
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            torch.backends.mha.get_fastpath_enabled(),
        ),
        "logging": (logging.root.manager.disable, LOGGER.level),
        "modes": [module.training for module in model.modules()],
        "gradients": [content(p.grad) for p in model.parameters()],
        "required": [p.requires_grad for p in model.parameters()],
    }


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
