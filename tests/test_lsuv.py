"""LSUV: unit variance everywhere, the same as the paper's loop, and nothing moved by a failure."""

import copy
import itertools

import pytest
import torch
from torch import nn

import initguide as init


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Branches(nn.Module):
    """Runs in another order than it registers; adds, reuses, works in place, leaves one out."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(16, 4)
        self.right = nn.Linear(8, 16)
        self.unused = nn.Linear(3, 3)
        self.left = nn.Linear(8, 16)
        self.again = nn.Linear(16, 16)

    def forward(self, x):
        h = nn.functional.relu(self.left(x), inplace=True) + torch.tanh(self.right(x))
        return self.last(self.again(self.again(h)))


def mlp(depth=6, nonlinearity=nn.ReLU):
    widths = [20, *[30] * depth]
    pairs = itertools.pairwise(widths)
    return nn.Sequential(*(m for a, b in pairs for m in (nn.Linear(a, b), nonlinearity())))


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.Dropout(0.3),
        nn.ConvTranspose2d(8, 6, 4, stride=2),
        nn.Flatten(),
        nn.LazyLinear(5),
    )


def materialized(model, x):
    model(x)
    return model


CASES = {
    "mlp": (mlp(), torch.randn(64, 20, generator=generator(1))),
    "scaled input": (mlp(), 1000 * torch.randn(64, 20, generator=generator(1)) + 50),
    "tanh": (mlp(20, nn.Tanh), torch.randn(64, 20, generator=generator(1))),
    "branches": (Branches(), torch.randn(64, 8, generator=generator(1))),
    "cnn": (
        materialized(cnn(), torch.randn(16, 2, 8, 8)),
        torch.randn(16, 2, 8, 8, generator=generator(1)),
    ),
    "unbatched": (nn.Conv1d(3, 5, 3), torch.randn(3, 50, generator=generator(1))),
    "attention": (
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        torch.randn(8, 5, 16, generator=generator(1)),
    ),
    "weight norm": (
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(20, 9)), nn.Linear(9, 3)),
        torch.randn(64, 20, generator=generator(1)),
    ),
}


def output_stds(model, x, seed=7):
    """Measure with hooks of our own: the std of each layer's output at its first call."""
    stds = {}

    def record(name):
        def hook(_module, _inputs, out):
            first = out[0] if isinstance(out, tuple) else out
            stds.setdefault(name, first.double().std(correction=0).item())

        return hook

    kinds = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)
    handles = [
        module.register_forward_hook(record(name or "model"))
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    ]
    torch.manual_seed(seed)  # dropout must drop what it dropped in the calibration
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return stds


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("orthonormal", [True, False])
def test_every_layer_has_unit_variance(name, orthonormal):
    model, x = copy.deepcopy(CASES[name][0]), CASES[name][1]
    torch.manual_seed(7)
    seed = generator(0) if orthonormal else torch.default_generator
    report = init.lsuv_(model, x, orthonormal=orthonormal, generator=seed)
    stds = output_stds(model, x)
    assert stds
    assert max(abs(std - 1) for std in stds.values()) < 1e-4
    for row in report.rows:
        if row["scale"] is not None:
            assert row["std_after"] == pytest.approx(stds[row["layer"]], abs=1e-4)
        else:
            assert row["note"]
    assert len(str(report).splitlines()) == 1 + len(report.rows)


def test_one_pass_is_the_papers_loop():
    """Forward, divide by the std, forward again: layer by layer, in float64, without biases."""
    x = torch.randn(64, 20, generator=generator(1), dtype=torch.float64)
    ours = mlp().double()
    for layer in ours[::2]:
        init.orthogonal_(layer.weight, generator=generator(2))
        init.zeros_(layer.bias)
    theirs = copy.deepcopy(ours)
    init.lsuv_(ours, x, orthonormal=False)
    with torch.no_grad():
        for index in range(0, len(theirs), 2):
            for _ in range(10):
                theirs[index].weight /= theirs[: index + 1](x).std(correction=0)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_start_is_orthonormal_up_to_the_scale():
    model, x = mlp(), torch.randn(64, 20, generator=generator(1))
    init.lsuv_(model, x, generator=generator())
    gram = model[2].weight @ model[2].weight.T
    torch.testing.assert_close(gram, gram[0, 0] * torch.eye(30), atol=1e-5, rtol=0)


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def test_what_it_must_leave_alone():
    model, x = copy.deepcopy(CASES["cnn"][0]), CASES["cnn"][1]
    model.eval()
    model[1].train()
    before = state(model)
    torch.manual_seed(3)
    random = torch.get_rng_state()
    init.lsuv_(model, x, generator=generator())
    assert torch.equal(torch.get_rng_state(), random)
    assert [m.training for m in model] == [i == 1 for i in range(len(model))]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for name, value in model.state_dict().items():
        if "running" in name or "num_batches" in name or "bias" in name or name.startswith("1."):
            assert torch.equal(value, before[name]), name
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_seeds_decide_and_without_one_the_global_state_moves():
    x = torch.randn(64, 20, generator=generator(1))
    models = [mlp() for _ in range(5)]
    for layers in zip(*(model[::2] for model in models), strict=True):
        for layer in layers:
            layer.bias = layers[0].bias
    for model, seed in zip(models[:3], (0, 0, 1), strict=True):
        init.lsuv_(model, x, generator=generator(seed))
    torch.manual_seed(0)
    for model in models[3:]:
        init.lsuv_(model, x)
    first = [model[0].weight for model in models]
    assert torch.equal(first[0], first[1])
    assert not torch.allclose(first[0], first[2])
    assert not torch.allclose(first[3], first[4])


def test_tied_weights_are_scaled_once():
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
    model[2].weight = model[0].weight
    report = init.lsuv_(model, torch.randn(64, 8, generator=generator(1)))
    assert [row["note"] for row in report.rows] == ["", "shares the weight of 0"]


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
    # Its own bias does not vary, nor does what it hears.
    return model


def large_bias():
    model = mlp(1)
    model[0].bias.data = 5 * torch.randn(30, generator=generator(1))
    return model


BATCH = torch.randn(64, 20, generator=generator(1))
SPECTRAL = nn.Sequential(nn.Linear(20, 5), nn.utils.parametrizations.spectral_norm(nn.Linear(5, 5)))
ERRORS = {
    "nan": (mlp(), with_nan(), "inputs must be finite; got 1 NaN or inf in input 0"),
    "dead": (dead(), BATCH, "layer '2' must vary over the batch; got variance 0"),
    "no layer": (
        nn.Sequential(nn.ReLU()),
        BATCH,
        "must reach Linear or convolution layers; got none",
    ),
    "unreached": (nn.ModuleDict({"a": nn.Linear(2, 2)}), None, "got ['a']"),
    "overflow": (
        mlp(),
        BATCH.clamp(-1, 1) * 3e38,
        "layer '0' must have a finite output; got NaN or inf",
    ),
    "large bias": (large_bias(), BATCH, "layer '0' must have a bias of variance below 1"),
    "spectral norm": (SPECTRAL, BATCH, "layer '1' must have a weight that can be set; got"),
    "lazy": (nn.LazyLinear(3), BATCH, "layer 'model' must have a shape; got a lazy LazyLinear"),
    "tol": (mlp(), BATCH, "tol must be finite; got nan"),
    "tight": (mlp(), BATCH, "must reach std 1 within tol=0"),
    "not a model": (torch.relu, BATCH, "model must be an nn.Module; got builtin"),
    "own": (Fails(), BATCH, "the model's own error"),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("seeded", [True, False])
def test_a_failure_changes_nothing(name, seeded):
    model, x, message = ERRORS[name]
    if name == "unreached":
        model.forward = lambda: torch.zeros(1)
    lazy = name == "lazy"
    is_model = isinstance(model, nn.Module)
    before = state(model) if is_model and not lazy else {}
    source = generator() if seeded else None
    random, own = torch.get_rng_state(), source.get_state() if source else None
    options = {"nan": {}, "tol": {"tol": float("nan")}, "tight": {"tol": 0}}.get(name, {})
    with pytest.raises((ValueError, TypeError, RuntimeError)) as error:
        init.lsuv_(model, *([] if x is None else [x]), generator=source, **options)
    assert message in str(error.value)
    assert torch.equal(torch.get_rng_state(), random)
    if source:
        assert torch.equal(source.get_state(), own)
    for key, value in before.items():
        assert torch.equal(model.state_dict()[key], value), key
    if is_model and not lazy:
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
