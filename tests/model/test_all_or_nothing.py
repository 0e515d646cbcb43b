"""Any failure of `initialize_` or `lsuv_`, at any point, leaves everything as it was."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import initguide as init
from initguide import Rule
from initguide.model import seeding

NUMPY = np.random.mtrand._rand
ERRORS = (
    ValueError("of its own"),
    RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    MemoryError(),
    KeyboardInterrupt(),
    SystemExit(3),
)


class Mixed(nn.Module):
    """Layers of many kinds, some of them parametrized, with statistics and a tied head."""

    def __init__(self, width=256):
        super().__init__()
        self.table = nn.Embedding(300, width, padding_idx=2)
        self.up = parametrizations.weight_norm(nn.Linear(width, 2 * width))
        self.rotate = parametrizations.orthogonal(nn.Linear(width, width))
        self.norm = nn.BatchNorm1d(2 * width)
        self.gru = nn.GRU(2 * width, width, batch_first=True)
        self.gain = nn.Parameter(torch.ones(width))
        self.head = nn.Linear(width, 300, bias=False)
        self.head.weight = self.table.weight

    def forward(self, tokens):
        x = self.up(self.rotate(self.table(tokens)))
        x = torch.relu(self.norm(x.mT).mT)
        return self.head(self.gain * self.gru(x)[0])


class Small(nn.Module):
    """Two convolutions and a head, all with other names."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 64, 3, padding=1)
        self.mid = nn.Conv2d(64, 64, 3, padding=1, groups=4)
        self.bn = nn.BatchNorm2d(64)
        self.out = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn(self.mid(torch.relu(self.stem(x)))))
        return self.out(x.mean((2, 3)))


def states():
    _, keys, *rest = NUMPY.get_state()
    return torch.get_rng_state().tolist(), keys.tolist(), rest, random.getstate()


def everything(model):
    """Return all that a failure must leave as it is; tensors by identity and by value."""
    found: dict[Any, Any] = {"random": states()}
    for name, module in model.named_modules():
        found[name] = module.training, sorted(vars(module))
        for key, tensor in {**module._parameters, **module._buffers}.items():
            if tensor is not None:
                gradient = None if tensor.grad is None else tensor.grad.clone()
                found[name, key] = id(tensor), tensor.requires_grad, id(tensor.grad)
                found[name, key, "values"] = tensor.detach().clone(), gradient
    return found


def assert_same(before, after):
    assert before.keys() == after.keys()
    for key, value in before.items():
        for one, other in zip(value, after[key], strict=True):
            same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
            assert same, key


def trained_for_a_step(model, *inputs):
    """Return the model with gradients and with statistics that are not the first ones."""
    model(*inputs).square().mean().backward()
    return model


MODELS = {
    "mixed": (
        lambda: Mixed(),
        torch.arange(40).view(4, 10),
        [Rule("rotate.weight", "orthogonal_")],
    ),
    "small": (lambda: Small(), torch.ones(2, 3, 8, 8), []),
}


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", [None, 0])
def test_an_error_at_any_parameter_changes_nothing(monkeypatch, name, error, seed):
    build, batch, rules = MODELS[name]
    model = trained_for_a_step(build(), batch)
    before, right = everything(model), seeding.generator_for
    for calls in (0, 1, 3, 5, 6):
        left = iter(range(calls))

        def generator_for(*args, left=left):
            if next(left, None) is None:
                raise error
            return right(*args)

        monkeypatch.setattr(seeding, "generator_for", generator_for)
        with pytest.raises(type(error)):
            init.initialize_(model, [*rules, "auto"], seed=seed)
        assert_same(before, everything(model))


def test_an_error_in_a_thread_changes_nothing(monkeypatch):
    model = nn.Sequential(nn.Linear(2000, 400), nn.ReLU(), nn.Linear(400, 10))
    before, right, threads = everything(model), seeding.generator_for, torch.get_num_threads()

    def generator_for(seed, name, block, generator):
        if (name, block) == ("0.weight", 7):
            raise RuntimeError("out of memory")
        return right(seed, name, block, generator)

    monkeypatch.setattr(seeding, "generator_for", generator_for)
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="out of memory"):
            init.initialize_(model, seed=0)
    finally:
        torch.set_num_threads(threads)
    assert_same(before, everything(model))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_function_of_the_caller_that_raises_after_it_has_written(error):
    model = trained_for_a_step(Small(), torch.ones(2, 3, 8, 8))

    def fails_(tensor):
        random.random()
        NUMPY.rand()
        torch.rand(3)
        tensor.fill_(9)
        raise error

    before = everything(model)
    for pattern in ("stem.weight", "mid.bias", "out.*"):
        with pytest.raises(type(error)):
            init.initialize_(model, [Rule(pattern, fails_), "auto"])
        assert_same(before, everything(model))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("at", ["stem", "mid", "out"])
def test_lsuv_at_any_layer(error, at):
    model = trained_for_a_step(Small(), torch.ones(2, 3, 8, 8))

    def fails(*_):
        torch.rand(3)
        raise error

    handle = model.get_submodule(at).register_forward_hook(fails)
    before = everything(model)
    with pytest.raises(type(error)):
        init.lsuv_(model, torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    handle.remove()
    assert_same(before, everything(model))


class Complex(nn.Module):
    """A complex layer after a real one, or beside it in a list."""

    def __init__(self, *names):
        super().__init__()
        for name in names:
            dtype = torch.complex64 if "c" in name else None
            self.add_module(name, nn.Linear(256, 256, dtype=dtype))

    def forward(self, x):
        for layer in self.children():
            x = layer(x.to(layer.weight.dtype))
        return x


@pytest.mark.parametrize(("names", "law"), [(("a", "c"), "truncated_normal_"), ("xyc", "uniform_")])
def test_a_complex_parameter_is_named_before_anything_is_written(names, law):
    model = Complex(*names)
    before = everything(model)
    with pytest.raises(TypeError, match=r"must fit 'c\.weight'; got: tensor must be real"):
        init.initialize_(model, [Rule("*weight", law), "auto"])
    assert_same(before, everything(model))
