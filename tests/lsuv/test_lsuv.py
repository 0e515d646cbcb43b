"""LSUV: unit variance everywhere, the same as the paper's loop, and nothing moved by a failure."""

import copy
import itertools
import math
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import initguide as init
from initguide.lsuv import solve
from initguide.lsuv.solve import crossing


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


class Padded(nn.Module):
    """In eval mode torch would pack this batch into a nested tensor."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x):
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[0, 3:] = True
        return self.encoder(x, src_key_padding_mask=padding)


class Equalized(nn.Linear):
    """A forward of its own, linear in the weight."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight * 0.1, self.bias)


class Standardized(nn.Linear):
    """A forward of its own, whose output does not scale with the weight."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight / self.weight.norm(), self.bias)


def with_biases(model, std):
    for index, module in enumerate(model.modules()):
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            init.normal_(module.bias, std=std, generator=generator(index))
    return model


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
    "channels last": (
        nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).to(
            memory_format=torch.channels_last
        ),
        torch.randn(16, 2, 8, 8, generator=generator(1)).to(memory_format=torch.channels_last),
    ),
    "biases": (with_biases(mlp(), 0.8), torch.randn(64, 20, generator=generator(1))),
    "signal far below its bias": (
        with_biases(nn.Linear(20, 30), 0.8),
        1e-8 * torch.randn(64, 20, generator=generator(1)),
    ),
    "squares overflow": (mlp(), 1e25 * torch.randn(64, 20, generator=generator(1))),
    "squares underflow": (mlp(), 1e-25 * torch.randn(64, 20, generator=generator(1))),
    "mean far above the std": (
        nn.Linear(20, 1),
        torch.randn(64, 20, generator=generator(1)) + 1e3,
    ),
    "vector": (nn.Linear(20, 30), torch.randn(20, generator=generator(1))),
    "own forward": (
        nn.Sequential(with_biases(Equalized(20, 9), 0.5), nn.Linear(9, 3)),
        torch.randn(64, 20, generator=generator(1)),
    ),
    "wrapped": (nn.DataParallel(mlp()), torch.randn(64, 20, generator=generator(1))),
    "unbatched": (nn.Conv1d(3, 5, 3), torch.randn(3, 50, generator=generator(1))),
    "attention": (
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        torch.randn(8, 5, 16, generator=generator(1)),
    ),
    "attention in eval mode": (
        with_biases(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 0.3).eval(),
        torch.randn(8, 5, 16, generator=generator(1)),
    ),
    "padded": (Padded().eval(), torch.randn(8, 5, 16, generator=generator(1))),
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
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a nested tensor has no std
    with torch.no_grad():
        model(x)
    torch.backends.mha.set_fastpath_enabled(fast)
    for handle in handles:
        handle.remove()
    return stds


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("orthonormal", [True, False])
def test_every_layer_has_unit_variance(name, orthonormal):
    model, x = copy.deepcopy(CASES[name][0]), CASES[name][1]
    torch.manual_seed(7)
    report = init.lsuv_(model, x, orthonormal=orthonormal, generator=generator(0))
    stds = output_stds(model, x)
    assert stds
    assert max(abs(std - 1) for std in stds.values()) < 1e-4
    for row in report.rows:
        if row["scale"] is not None:
            assert row["std_after"] == pytest.approx(stds[row["layer"]], abs=1e-4)
        else:
            assert row["note"]
    assert len(str(report).splitlines()) == 1 + len(report.rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [True, False])
def test_half_precision(dtype, autocast):
    """Within the default tolerance, though neither the scale nor the sums fit in half precision."""
    model, x = with_biases(mlp(4), 0.5), torch.randn(256, 20, generator=generator(1))
    if not autocast:
        model, x = model.to(dtype), x.to(dtype)
    with torch.autocast("cpu", dtype, enabled=autocast):
        init.lsuv_(model, x, generator=generator())
        stds = output_stds(model, x)
    assert max(abs(std - 1) for std in stds.values()) < 2e-3
    assert {p.dtype for p in model.parameters()} == {torch.float32 if autocast else dtype}


class Cached(nn.Module):
    """Opens autocast anew, with a cache; calls a layer again after its weight has changed."""

    def __init__(self):
        super().__init__()
        self.again, self.last = nn.Linear(16, 16), nn.Linear(16, 4)

    @torch.autocast("cpu", torch.bfloat16)
    def forward(self, x):
        return self.last(self.again(self.again(x)))


def test_autocast_sees_the_scaled_weights():
    model, x = with_biases(Cached(), 0.5), torch.randn(256, 16, generator=generator(1))
    init.lsuv_(model, x, orthonormal=False)
    stds = output_stds(model, x)
    assert max(abs(std - 1) for std in stds.values()) < 5e-3


def test_autocast_sees_the_bias_taken_out():
    """A frozen layer runs first and leaves a cast of the bias that both share."""
    model = with_biases(nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16)), 0.8)
    model[0].weight.requires_grad_(False)
    model[1].bias = model[0].bias
    x = torch.randn(256, 16, generator=generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        init.lsuv_(model, x, generator=generator())
        stds = output_stds(model, x)
    assert stds["1"] == pytest.approx(1, abs=5e-3)


def test_a_large_mean_in_half_precision_is_no_constant():
    model = nn.Linear(20, 1, bias=False, dtype=torch.bfloat16)
    init.constant_(model.weight, 0.1)
    x = (torch.randn(256, 20, generator=generator(1)) + 5).bfloat16()
    init.lsuv_(model, x, orthonormal=False, tol=0.02)
    assert output_stds(model, x)["model"] == pytest.approx(1, abs=0.02)


def test_the_report_tells_the_std_before():
    model = with_biases(mlp(1), 0.8)
    before = output_stds(model, BATCH)["0"]
    report = init.lsuv_(model, BATCH, orthonormal=False)
    assert report.rows[0]["std_before"] == pytest.approx(before, abs=1e-5)


def test_a_layers_memory_format_stays():
    model, x = copy.deepcopy(CASES["channels last"][0]), CASES["channels last"][1]
    init.lsuv_(model, x, generator=generator())
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)


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
    model[4].train()
    before = state(model)
    torch.manual_seed(3)
    random = torch.get_rng_state()
    init.lsuv_(model, x, orthonormal=False)
    init.lsuv_(model, x, generator=generator())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.backends.mha.get_fastpath_enabled()
    assert [m.training for m in model] == [i in (1, 4) for i in range(len(model))]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for name, value in model.state_dict().items():
        if "running" in name or "num_batches" in name or "bias" in name or name.startswith("1."):
            assert torch.equal(value, before[name]), name
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_seeds_decide_and_without_one_the_global_state_moves():
    x = torch.randn(64, 20, generator=generator(1))
    models = [mlp() for _ in range(7)]
    for layers in zip(*(model[::2] for model in models), strict=True):
        for layer in layers:
            layer.bias = layers[0].bias
    for model, seed in zip(models[:3], (0, 0, 1), strict=True):
        init.lsuv_(model, x, generator=generator(seed))
    torch.manual_seed(0)
    for model in models[3:5]:
        init.lsuv_(model, x)
    for model in models[5:]:
        init.lsuv_(model, x, generator=torch.default_generator)
    first = [model[0].weight for model in models]
    assert torch.equal(first[0], first[1])
    assert not torch.allclose(first[0], first[2])
    for one, other in itertools.combinations(first[3:], 2):
        assert not torch.allclose(one, other)


def test_tied_weights_are_scaled_once():
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
    model[2].weight = model[0].weight
    bias = with_biases(model, 0.5)[2].bias.clone()
    report = init.lsuv_(model, torch.randn(64, 8, generator=generator(1)))
    assert [row["note"] for row in report.rows] == ["", "shares the weight of 0"]
    assert torch.equal(model[2].bias, bias)


def test_a_shared_bias_counts_in_both_layers():
    model = with_biases(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8)), 0.5)
    model[2].bias = model[0].bias
    bias, x = model[0].bias.clone(), torch.randn(64, 8, generator=generator(1))
    init.lsuv_(model, x, generator=generator())
    assert torch.equal(model[0].bias, bias)
    assert list(output_stds(model, x).values()) == pytest.approx([1, 1], abs=1e-4)


def tied_head():
    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 8), nn.Linear(8, 10))
    model[2].weight = model[0].weight
    return model, torch.arange(10), 2, "shares the weight of 0"


def frozen(layer):
    model = nn.Sequential(nn.Linear(8, 8), layer)
    layer.requires_grad_(False)
    return model, torch.randn(64, 8, generator=generator(1)), 1, "frozen"


LEFT_ALONE = {
    "tied to an embedding": tied_head(),
    "frozen": frozen(nn.Linear(8, 8)),
    "frozen parametrized": frozen(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))),
}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_some_weights_are_left_alone(name):
    model, x, index, note = copy.deepcopy(LEFT_ALONE[name])
    before = state(model[index])
    report = init.lsuv_(model, x, generator=generator())
    rows = {row["layer"]: row for row in report.rows}
    assert (rows[str(index)]["note"], rows[str(index)]["scale"]) == (note, None)
    assert rows["1" if index == 2 else "0"]["scale"]
    for key, value in model[index].state_dict().items():
        assert torch.equal(value, before[key]), key


class Stateful(nn.Module):
    """Writes to a buffer, replaces another, and holds one that cannot be written to."""

    def __init__(self):
        super().__init__()
        self.register_buffer("written", torch.zeros(3))
        self.register_buffer("replaced", torch.zeros(3))
        self.register_buffer("expanded", torch.ones(1).expand(3))

    def forward(self, x):
        self.written += 1
        self.replaced = self.replaced + 1
        return x


@pytest.mark.parametrize("fails", [True, False])
def test_buffers_are_put_back(fails):
    model = nn.Sequential(nn.Linear(20, 8), Stateful(), nn.Linear(8, 8))
    buffers = dict(model.named_buffers())
    if fails:
        model[2].bias.data.fill_(torch.nan)
        with pytest.raises(ValueError, match="layer '2'"):
            init.lsuv_(model, BATCH)
    else:
        init.lsuv_(model, BATCH)
    assert all(value is buffers[key] for key, value in model.named_buffers())
    assert [value.sum() for value in buffers.values()] == [0, 0, 3]


class Picky(nn.Linear):
    def forward(self, x):
        raise RuntimeError("not this time")


class Forgiving(nn.Module):
    """Tries a layer that fails, and goes on without it."""

    def __init__(self):
        super().__init__()
        self.picky, self.other = Picky(20, 5), nn.Linear(20, 5)

    def forward(self, x):
        for layer in (self.picky, self.picky, self.other):
            try:
                y = layer(x)
            except RuntimeError:
                y = None
        return y


def test_an_error_that_the_model_catches_costs_no_bias():
    model = with_biases(Forgiving(), 0.5)
    bias = model.picky.bias.clone()
    report = init.lsuv_(model, BATCH, generator=generator())
    assert [(row["layer"], row["note"]) for row in report.rows] == [
        ("other", ""),
        ("picky", "not reached"),
    ]
    assert torch.equal(model.picky.bias, bias)


def test_other_hooks_see_the_scaled_output():
    model, seen = nn.Linear(20, 30), []
    model.register_forward_hook(lambda _module, _inputs, y: seen.append(y.std(correction=0)))
    init.lsuv_(model, 100 * BATCH)
    assert seen[0].item() == pytest.approx(1, abs=1e-4)


class Options(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(20, 5)

    def forward(self, batch, mask, missing=None):
        return (self.layer(batch["x"]) + mask).softmax(-1)


def test_inputs_may_be_anything():
    mask = torch.tensor([0, 0, 0, 0, -torch.inf])
    report = init.lsuv_(Options(), {"x": BATCH}, mask, None, generator=generator())
    assert report.rows[0]["std_after"] == pytest.approx(1, abs=1e-4)


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


def constant():
    model = nn.Linear(20, 1)
    model.weight.data.fill_(1.0)
    # What is left is how the last digit was rounded.
    return model, 0.3 * (1 + 1e-7 * torch.rand(64, 20, generator=generator(1)))


def large_bias():
    model = mlp(1)
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


BATCH = torch.randn(64, 20, generator=generator(1))


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
# What is called, with which inputs and options, and what the error says: the rule, then the value.
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
    "large bias": (large_bias(), [BATCH], {}, "layer '0' must have a bias of variance below 1"),
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
        "layer '0' must reach std 1 behind tanh at a finite scale; got at most 0.99",
    ),
    "bounded, bias": (
        with_biases(mlp(2, nn.Sigmoid), 0.5),
        [BATCH],
        {"measure_at": "post"},
        "layer '0' must reach std 1 behind sigmoid at a finite scale; got at most 0.49",
    ),
    "large bias behind relu": (
        large_bias(),
        [BATCH],
        {"measure_at": "post"},
        "layer '0' must reach std 1 behind relu at a finite scale; got at least 3.",
    ),
    "dead behind relu": (
        nn.Sequential(*dead()[2:], nn.Linear(30, 30), nn.ReLU()),
        [torch.zeros(64, 30)],
        {"measure_at": "post"},
        "layer '0' must vary over the batch; got variance 0",
    ),
    "late, behind": (
        nn.Sequential(*mlp(2), nn.Linear(30, 5), nn.Tanh()),
        [BATCH],
        {"measure_at": "post"},
        "layer '4' must reach std 1 behind tanh",
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


class Functional(nn.Module):
    """Activations as functions and methods, in place, behind a change of shape; shared; linear."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(2, 6, 3)
        self.again = nn.Linear(96, 96)
        self.last = nn.Linear(96, 4)

    def forward(self, x):
        x = torch.nn.functional.gelu(self.convolution(x).flatten(1), approximate="tanh")
        x = torch.relu_(self.again(x))
        return self.last(self.again(x).relu())


def behind(*activations, biases=0.0, width=30):
    pairs = ((nn.Linear(20 if i == 0 else width, width), f) for i, f in enumerate(activations))
    return with_biases(nn.Sequential(*(m for pair in pairs for m in pair)), biases)


IMAGES = torch.randn(32, 2, 6, 6, generator=generator(1))
# A model, its batch, and the modules or functions that the activations' outputs are read from.
POST = {
    "homogeneous": (behind(nn.ReLU(), nn.LeakyReLU(0.2), nn.PReLU(init=0.1)), BATCH),
    "homogeneous, biases": (behind(nn.ReLU(inplace=True), nn.LeakyReLU(0.2), biases=0.6), BATCH),
    "smooth": (behind(nn.GELU(), nn.SiLU(), nn.ELU(), nn.Softplus(), nn.Mish()), BATCH),
    "smooth, biases": (
        behind(nn.GELU(), nn.SiLU(inplace=True), nn.SELU(), biases=0.6),
        BATCH,
    ),
    "scaled input": (behind(nn.GELU(), nn.GELU()), 1e3 * BATCH + 50),
    "tiny input": (behind(nn.ReLU(), nn.GELU(), biases=0.3), 1e-12 * BATCH),
    "huge input": (behind(nn.ReLU(), nn.ReLU6()), 1e25 * BATCH),
    "moved": (behind(nn.Sequential(nn.Identity(), nn.Unflatten(1, (5, 6)), nn.ReLU())), BATCH),
    "double": (behind(nn.ReLU(), nn.GELU(), biases=0.2).double(), BATCH.double()),
}


@pytest.mark.parametrize("name", POST)
@pytest.mark.parametrize("orthonormal", [True, False])
def test_unit_std_behind_the_activation(name, orthonormal):
    model, x = copy.deepcopy(POST[name][0]), POST[name][1]
    before = state(model)
    report = init.lsuv_(
        model, x, measure_at="post", orthonormal=orthonormal, generator=generator(0)
    )
    h = x
    with torch.no_grad():
        for layer, activation, row in zip(model[::2], model[1::2], report.rows, strict=True):
            h = activation(layer(h))
            assert h.double().std(correction=0).item() == pytest.approx(1, abs=1e-5)
            assert row["std_after"] == pytest.approx(1, abs=1e-5)
            assert row["note"].startswith("std behind ")
    for key, value in model.state_dict().items():
        assert not key.endswith("bias") or torch.equal(value, before[key])


def test_functions_are_activations_too():
    model = with_biases(Functional(), 0.3)
    report = init.lsuv_(model, IMAGES, measure_at="post", generator=generator())
    with torch.no_grad():
        x = model.convolution(IMAGES).flatten(1)
        x = nn.functional.gelu(x, approximate="tanh")
        y = model.again(x).relu()
        z = model(IMAGES)
    stds = [t.std(correction=0).item() for t in (x, y, z)]
    assert stds == pytest.approx([1, 1, 1], abs=1e-5)
    assert [row["note"] for row in report.rows] == [
        "std behind gelu",
        "std behind relu",
        "std of the output: no activation follows",
    ]


def test_post_needs_one_evaluation_where_a_relu_follows_no_bias():
    """By hand: outputs -1, 1, 3 become 0, 1, 3 of std sqrt(14)/3, and the scale is its inverse."""
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    init.ones_(model[0].weight)
    init.zeros_(model[0].bias)
    x = torch.tensor([[-1.0], [1.0], [3.0]])
    (row,) = init.lsuv_(model, x, measure_at="post", orthonormal=False).rows
    assert row["std_before"] == pytest.approx(14**0.5 / 3)
    assert row["scale"] == pytest.approx(3 / 14**0.5)


def test_post_with_a_bias_by_hand():
    """relu(a + 1) and relu(-3 a + 1) differ by 2 where a = 1: the std of two numbers is half."""
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    init.constant_(model[0].weight, 5.0)
    init.ones_(model[0].bias)
    x = torch.tensor([[1.0], [-3.0]])
    (row,) = init.lsuv_(model, x, measure_at="post", orthonormal=False).rows
    assert row["scale"] == pytest.approx(1 / 5, abs=1e-6)
    assert model[0].weight.item() == pytest.approx(1, abs=1e-6)


class Sum(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Linear(20, 20), nn.Linear(20, 20)

    def forward(self, x):
        return torch.relu(self.other(torch.relu(self.one(x) + x)) * 2)


class Untraceable(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(20, 20)

    def forward(self, x):
        return torch.relu(self.layer(x)) if x.sum() > -1e9 else x


def two_slopes():
    return nn.Sequential(nn.Linear(20, 20), nn.PReLU(), nn.Linear(20, 20), nn.PReLU(init=0.1))


# What stands behind each layer, so that it is measured as before, and what the note says.
AS_BEFORE = {
    "norm": (
        nn.Sequential(nn.Linear(20, 20), nn.LayerNorm(20), nn.Tanh()),
        ["std of the output: LayerNorm before tanh"],
    ),
    "dropout": (
        nn.Sequential(nn.Linear(20, 20), nn.Dropout(0.1), nn.ReLU()),
        ["std of the output: Dropout before relu"],
    ),
    "sum": (Sum(), ["std of the output: add before relu", "std of the output: mul before relu"]),
    "none": (nn.Linear(20, 20), ["std of the output: no activation follows"]),
    "untraceable": (
        Untraceable(),
        ["std of the output: forward of the model cannot be traced: TraceError"],
    ),
    "slopes": (two_slopes(), ["std of the output: prelu has 2 slopes"] * 2),
}


@pytest.mark.parametrize("name", AS_BEFORE)
def test_where_no_activation_is_to_be_had_post_is_pre(name):
    model, notes = copy.deepcopy(AS_BEFORE[name])
    twin = copy.deepcopy(model)
    torch.manual_seed(7)
    report = init.lsuv_(model, BATCH, measure_at="post", generator=generator())
    torch.manual_seed(7)
    init.lsuv_(twin, BATCH, generator=generator())
    assert [row["note"] for row in report.rows] == notes
    for one, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_transformer_layer_is_measured_behind_its_activation():
    model = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
    x, seen = torch.randn(8, 5, 16, generator=generator(1)), []
    model.dropout.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].clone()))
    report = init.lsuv_(model, x, measure_at="post", generator=generator())
    with torch.no_grad():
        model(x)
    assert seen[-1].std(correction=0).item() == pytest.approx(1, abs=0.3)
    notes = {row["layer"]: row["note"] for row in report.rows}
    assert notes["linear1"] == "std behind gelu"
    assert notes["linear2"].startswith("std of the output")


@pytest.mark.parametrize("autocast", [True, False])
def test_post_in_half_precision(autocast):
    model, x = behind(nn.GELU(), nn.ReLU(), biases=0.5), BATCH.repeat(8, 1)
    if not autocast:
        model, x = model.bfloat16(), x.bfloat16()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        init.lsuv_(model, x, measure_at="post", generator=generator())
        with torch.no_grad():
            stds = [model[:i](x).double().std(correction=0).item() for i in (2, 4)]
    assert stds == pytest.approx([1, 1], abs=3e-3)


def test_the_part_searched_first_need_not_be_like_the_rest():
    """Every fifth image is dark; the others decide as much."""
    model = with_biases(nn.Sequential(nn.Conv2d(2, 32, 3), nn.GELU()), 0.4)
    x = torch.randn(40, 2, 16, 16, generator=generator(1))
    x[::5] *= 1e-3
    init.lsuv_(model, x, measure_at="post", generator=generator())
    with torch.no_grad():
        assert model(x).double().std(correction=0).item() == pytest.approx(1, abs=1e-5)


def test_post_runs_the_model_once():
    model, calls = behind(nn.GELU(), nn.GELU(), biases=0.5), []
    model.register_forward_hook(lambda *_: calls.append(1))
    init.lsuv_(model, BATCH, measure_at="post")
    assert calls == [1]


# A variance as a function of the scale; where it crosses one, nearest to the start.
CROSSINGS = {
    "rises": (lambda a: a**2 / 9, 1e-3, 3.0),
    "falls": (lambda a: a**2 / 9, 1e3, 3.0),
    "is met": (lambda a: a**2 / 9, 3.0, 3.0),
    "saturates": (lambda a: 2 * a / (1 + a), 0.1, 1.0),
    "falls with the scale": (lambda a: 4 / (1 + a), 0.5, None),
    "steep": (lambda a: a**12, 0.01, 1.0),
    "jumps from zero": (lambda a: max(a - 2, 0.0), 0.5, 3.0),
    "a hump between two steps": (
        lambda a: 1.05 * math.exp(-20 * math.log(a / 3.1) ** 2),
        0.7,
        3.1 * math.exp(-math.sqrt(math.log(1.05) / 20)),
    ),
    "bounded": (lambda a: a / (1 + a), 1.0, None),
    "rounded up to one": (lambda a: min(a, 1 + 1.5e-6), 0.01, None),
    "too large everywhere": (lambda a: 2 + a, 1.0, None),
    "zero": (lambda a: 0.0, 1.0, None),
}


@pytest.mark.parametrize("name", CROSSINGS)
def test_the_scale_at_which_a_variance_is_one(name):
    variance, start, expected = CROSSINGS[name]
    calls = []

    def counted(scale):
        calls.append(scale)
        return variance(scale)

    found, extreme = crossing(counted, start)
    if expected is None:
        assert found is None
        assert (extreme < 1 + 2e-6) == (variance(start) < 1)
    else:
        assert found == pytest.approx(expected, rel=3e-6)
        assert variance(found) == pytest.approx(1, abs=2e-6)
        # The start may be far away, and the hump must be found first.
        assert len(calls) <= 40


def test_a_usual_search_is_short():
    evaluations = []

    def counted(z):
        evaluations.append(1)
        return nn.functional.gelu(z)

    y = torch.randn(64, 20, generator=generator(1))
    bias = torch.randn(20, generator=generator(2))
    solve.solve_behind("0", y, 0.5 * bias, 1, counted, "gelu", lambda *numbers: numbers)
    assert len(evaluations) <= 10


def test_without_processes_nothing_is_imported_for_them():
    code = """
import sys, torch
from torch import nn
before = set(sys.modules)
import initguide as init
init.lsuv_(nn.Sequential(nn.Linear(4, 4), nn.GELU()), torch.eye(4), measure_at="post")
print(sorted(n for n in set(sys.modules) - before if n.startswith("torch.distributed")))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
