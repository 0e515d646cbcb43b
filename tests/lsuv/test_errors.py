"""Each error of LSUV names the rule and the value, and nothing has changed after it."""

import pytest
import torch
from lsuv_networks import BATCH, Standardized, generator, mlp, state, with_biases
from torch import nn
from torch.nn.utils import prune

import initguide as init


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Linear(20, 5), nn.BatchNorm1d(5)

    def forward(self, x):
        self.norm(self.first(x))
        raise RuntimeError("the model's own error")


def with_nan():
    x = torch.randn(8, 20, generator=generator(1))
    x[2, 3] = torch.nan
    return x


def dead():
    model = mlp(2)
    model[0].bias.data.fill_(-1000.0)
    # The input of the next layer does not vary, and neither does its bias.
    return model


def constant():
    model = nn.Linear(20, 1)
    model.weight.data.fill_(1.0)
    # What is left is how the last digit was rounded.
    return model, 0.3 * (1 + 1e-7 * torch.rand(64, 20, generator=generator(1)))


def large_bias():
    model = mlp(1)
    init.kaiming_normal_(model[0].weight, generator=generator(0))
    model[0].bias.data = 5 * torch.randn(30, generator=generator(1))
    return model


def unreached():
    model = nn.ModuleDict({"a": nn.Linear(2, 2)})
    model.forward = lambda: torch.zeros(1)
    return model


def pruned():
    model = mlp()
    prune.identity(model[2], "weight")
    return model


def tanh_bias():
    model = mlp()
    nn.utils.parametrize.register_parametrization(model[2], "bias", nn.Tanh())
    return model


def spectral():
    """The second layer divides its weight by 5."""
    layers = nn.Linear(20, 5), nn.Linear(5, 5)
    init.constant_(layers[1].weight, 1.0)
    return nn.Sequential(layers[0], nn.utils.parametrizations.spectral_norm(layers[1]))


def nearly():
    """Spectral norm that asks for half a percent: the weight is as good as set, the std is not."""
    layer = nn.Linear(5, 5, bias=False)
    init.eye_(layer.weight)
    x = torch.randn(64, 5, generator=generator(1))
    return nn.utils.parametrizations.spectral_norm(layer), [1.005 * x / x.std(correction=0)]


COMPLEX = nn.utils.parametrizations.weight_norm(nn.Linear(20, 5, dtype=torch.complex64))


META = nn.Sequential(nn.Linear(20, 5), nn.BatchNorm1d(5, device="meta", affine=False))


# By name: the model, its inputs, the options, and the error: the rule, then the value.
ERRORS = {
    "nan": (mlp(), [with_nan()], {}, "inputs must hold no NaN; got 1 in input 0"),
    "infinite": (
        mlp(),
        [BATCH / 0],
        {},
        "layer '0' must have a finite output; got NaN or inf",
    ),
    "dead": (dead(), [BATCH], {}, "layer '2' must vary over the batch; got variance 0"),
    "constant": (
        constant()[0],
        [constant()[1]],
        {"orthonormal": False},
        "layer 'model' must vary over the batch; got variance",
    ),
    "no layer": (
        nn.Sequential(nn.ReLU()),
        [BATCH],
        {},
        "must reach Linear or convolution layers to scale; got none",
    ),
    "unreached": (unreached(), [], {}, "layers to scale; got {'a': 'not reached'}"),
    "frozen": (
        nn.Linear(20, 3).requires_grad_(False),
        [BATCH],
        {},
        "layers to scale; got {'model': 'frozen'}",
    ),
    "empty": (mlp(), [BATCH[:0]], {}, "layer '0' must have outputs; got shape (0, 30)"),
    "overflow": (
        mlp(),
        [BATCH.clamp(-1, 1) * 3e38],
        {},
        "layer '0' must have a finite output; got NaN or inf",
    ),
    "weights vanish": (
        mlp().half(),
        [BATCH.half() * 1e4],
        {"orthonormal": False},
        "layer '0' must have weights in the range of torch.float16; got",
    ),
    "weights overflow": (
        mlp(),
        [BATCH * 1e-39],
        {},
        "layer '0' must have weights in the range of torch.float32; got inf",
    ),
    "large bias": (large_bias(), [BATCH], {}, "freeze the layer to leave it as it is"),
    "spectral norm": (
        spectral(),
        [BATCH],
        {"orthonormal": False},
        "layer '1' must have a weight that can be set; got ['_SpectralNorm']",
    ),
    "spectral norm, nearly": (
        *nearly(),
        {"orthonormal": False},
        "layer 'model' must reach std 1 within tol=0.001; got 1.00",
    ),
    "not linear in its weight": (
        Standardized(20, 5),
        [BATCH],
        {},
        "layer 'model' must reach std 1 within tol=0.001; got 0.",
    ),
    "pruned": (pruned(), [BATCH], {}, "layer '2' must hold its weight as a parameter; got Tensor"),
    "bias": (
        tanh_bias(),
        [BATCH],
        {},
        "layer '2' must hold its bias as a parameter; got Tensor",
    ),
    "complex": (
        COMPLEX,
        [BATCH],
        {},
        "layer 'model' must have a real bias; got torch.complex64",
    ),
    "lazy": (nn.LazyLinear(3), [BATCH], {}, "'weight' must have a shape; got a lazy LazyLinear"),
    "meta": (META, [BATCH], {}, "'1.running_mean' must hold values; got a meta tensor"),
    "tol": (mlp(), [BATCH], {"tol": float("nan")}, "tol must be finite; got nan"),
    "negative tol": (mlp(), [BATCH], {"tol": -1}, "tol must be at least 0; got -1"),
    "tight": (mlp(), [BATCH], {"tol": 0}, "must reach std 1 within tol=0"),
    "not a model": (torch.relu, [BATCH], {}, "model must be an nn.Module; got builtin"),
    "seed": (mlp(), [BATCH], {"generator": 0}, "generator must be a torch.Generator; got 0"),
    "own": (Fails(), [BATCH], {}, "the model's own error"),
    "measure_at": (
        mlp(),
        [BATCH],
        {"measure_at": "mid"},
        "measure_at must be 'pre' or 'post'; got 'mid'",
    ),
    # Each of 64 x 30 outputs becomes 1 or -1; their mean is not zero.
    "bounded": (
        mlp(2, nn.Tanh),
        [BATCH],
        {"measure_at": "post"},
        "layer '0' must reach std 1 after tanh at a finite scale; got at most 0.99",
    ),
    "bounded, bias": (
        with_biases(mlp(2, nn.Sigmoid), 0.5),
        [BATCH],
        {"measure_at": "post"},
        "layer '0' must reach std 1 after sigmoid at a finite scale; got at most 0.49",
    ),
    "large bias after relu": (
        large_bias(),
        [BATCH],
        {"measure_at": "post"},
        "layer '0' must reach std 1 after relu at a finite scale; got at least 3.",
    ),
    "dead after relu": (
        nn.Sequential(*dead()[2:], nn.Linear(30, 30), nn.ReLU()),
        [torch.zeros(64, 30)],
        {"measure_at": "post"},
        "layer '0' must vary over the batch; got variance 0",
    ),
    "late, post": (
        nn.Sequential(*mlp(2), nn.Linear(30, 5), nn.Tanh(), nn.Linear(5, 5)),
        [BATCH],
        {"measure_at": "post"},
        "layer '4' must reach std 1 after tanh",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("seeded", [True, False])
def test_a_failure_changes_nothing(name, seeded):
    model, inputs, options, message = ERRORS[name]
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    before = [] if name in ("lazy", "meta") else [state(module) for module in modules]
    source = generator()
    random, own = torch.get_rng_state(), source.get_state()
    options = ({"generator": source} if seeded else {}) | options
    with pytest.raises((ValueError, TypeError, RuntimeError)) as error:
        init.lsuv_(model, *inputs, **options)
    assert message in str(error.value)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.equal(source.get_state(), own)
    for module, values in zip(modules, before, strict=False):
        for key, value in values.items():
            assert torch.equal(module.state_dict()[key], value), key
    assert not any(m._forward_hooks for m in modules)
    assert name == "lazy" or not any(m._forward_pre_hooks for m in modules if name != "pruned")
    assert torch.backends.mha.get_fastpath_enabled()
