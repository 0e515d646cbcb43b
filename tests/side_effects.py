"""Forwards that change more than their model, and a fingerprint of all that could change."""

# Global generators and lists that all objects of a class share are side effects, and meant.
# ruff: noqa: NPY002, RUF012

import functools
import itertools
import logging
import random
import sys
import threading
import warnings

import numpy as np
import side_effects_inside
import torch
from contents import content
from side_effects_inside import INSIDE, WIDTH, Base
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

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


BUILDERS = [
    AppendsToGlobals,
    CountsInGlobal,
    WritesGlobalTensor,
    CallsHelper,
    UsesCachedFunction,
    Logs,
    closed_over,
    Decorated,
    HoldsFunction,
    Draws,
    HasProperty,
    HasFinalizer,
    CatchesErrors,
    ChangesSettings,
    FailsLate,
    LoopsOnSizes,
    BranchesOnValues,
    OwnActivation,
    OwnNorm,
    Parametrized,
    *INSIDE,
]


def fingerprint(model):
    """Return all that a forward could change: of the model, of these modules, of the libraries."""
    classes = {kind for module in model.modules() for kind in type(module).__mro__}
    own = [kind for kind in classes if kind.__module__ in (__name__, side_effects_inside.__name__)]
    return {
        "model": content(model),
        "globals": {
            (here, name): content(value)
            for here, names in enumerate((globals(), vars(side_effects_inside)))
            for name, value in names.items()
        },
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
