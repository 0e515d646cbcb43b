"""Forwards that change what the model itself holds: attributes, buffers, lists, classes."""

import collections
import dataclasses
import io
import itertools
import queue
import threading
import types
import weakref
from collections import Counter, OrderedDict, defaultdict, deque

import numpy as np
import torch
from torch import nn

WIDTH = 256


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


INSIDE = [
    AppendsToList,
    AppendsToDeque,
    FillsDicts,
    HasFrozenConfig,
    OwnBatchNorm,
    Codebook,
    CountsSteps,
    RegistersInClass,
    CachesByKey,
    SetsAttributes,
    HoldsSlots,
    HoldsKeyCache,
    TogglesTraining,
    RegistersHooks,
    HasWeakReferences,
    HoldsGenerator,
    HoldsLock,
    HoldsItself,
    HoldsTuple,
    OwnForward,
    CountsInConfig,
    WritesArrays,
    KeepsKeys,
    WritesToItsInput,
    AveragesWeights,
    RemovesAndAdds,
]
