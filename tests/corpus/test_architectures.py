"""Plan, initialize, measure and scale published architectures."""

import copy

import pytest
import torch
from architectures import ARCHITECTURES, FINDINGS, KEPT, LARGEST, SILENT, UNSCALABLE
from torch import nn

import initguide as init
from initguide.graph.trace import trace


@pytest.fixture(scope="module", params=ARCHITECTURES)
def built(request):
    """An architecture's name, its model in training, initialized, and a batch."""
    build, batch = ARCHITECTURES[request.param]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build().train()
    return request.param, model, batch()


def tensors(output):
    if isinstance(output, torch.Tensor):
        return [output] if output.requires_grad else []
    parts = output.values() if isinstance(output, dict) else output
    return [
        t
        for part in parts
        if isinstance(part, (torch.Tensor, dict, tuple, list))
        for t in tensors(part)
    ]


def loss(output):
    """The mean of the output times random numbers, so that the gradient reaches every entry."""
    first = tensors(output)[0]
    return (first * torch.randn(first.shape, generator=torch.Generator().manual_seed(2))).mean()


def state(model):
    """All that no tool may change: values, gradients, modes, hooks, random state."""
    values = {n: t.clone() for n, t in (*model.named_parameters(), *model.named_buffers())}
    modes = [module.training for module in model.modules()]
    grads = [parameter.grad is None for parameter in model.parameters()]
    hooks = [
        len(getattr(module, kind))
        for module in model.modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    ]
    return values, (modes, grads, hooks), torch.get_rng_state()


def assert_unchanged(before, after, parameters=True):
    assert before[1] == after[1]
    assert torch.equal(before[2], after[2])
    for name, value in before[0].items():
        if parameters:
            assert torch.equal(value, after[0][name]), name


def test_the_plan_covers_every_parameter(built):
    name, model, _ = built
    before = state(model)
    made = init.plan(model)
    rows = {row["parameter"]: row for row in made.rows}
    held = {id(p): n for n, p in model.named_parameters()}
    parametrized = {n for n in held.values() if ".parametrizations." in n}
    assert set(held.values()) - parametrized <= set(rows)
    # Whisper's waves of positions and the first stages of DETR's backbone are frozen.
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    kept = {parameter for parameter, row in rows.items() if row["law"] == "keep_"}
    assert frozen <= kept
    assert all(any(part in parameter for parameter in kept) for part in KEPT.get(name, []))
    # Deliberate starts are kept with a reason, and a scale in logarithms keeps its value.
    kept -= {entry.param.name for entry in made.entries if entry.kept}
    assert all("logit_scale" in parameter for parameter in kept - frozen)
    assert_unchanged(before, state(model))


def test_the_drawn_std_is_the_planned_one(built):
    _, model, _ = built
    random = torch.get_rng_state()
    done = init.initialize_(model, seed=0)
    assert torch.equal(torch.get_rng_state(), random)
    for entry in done.entries:
        if entry.sampler.std and entry.param.tensor.numel() >= 1000:
            std = entry.param.tensor.std().item()
            # Four standard errors of the std of a normal sample, and a row of padding.
            slack = 4 / (2 * entry.param.tensor.numel()) ** 0.5 + 0.01
            assert std == pytest.approx(entry.sampler.std, rel=slack), entry.param.name
    init.audit(model).assert_ok()


def test_no_signal_vanishes_or_explodes(built):
    name, model, batch = built
    init.initialize_(model, seed=0)
    before = state(model)
    report = init.measure(model, loss=loss, **batch)
    assert_unchanged(before, state(model))
    # Factors at the end of a branch, and tables that are added, may be small.
    modules = {name for name, _ in model.named_modules()}
    rows = [row for row in report.rows if row["layer"] in modules]
    silent = {row["layer"] for row in rows if row["rms"] == 0}
    assert silent == SILENT.get(name, set())
    for row in rows:
        if row["layer"] not in silent:
            assert 0.05 < row["rms"] < LARGEST.get(name, 5), row["layer"]
        assert row["gradient_rms"] is None or row["gradient_rms"] < float("inf")
    assert [finding.kind for finding in report.findings] == FINDINGS.get(name, [])


def test_lsuv_brings_layers_to_unit_std(built):
    name, model, batch = built
    copied = copy.deepcopy(model)
    init.initialize_(copied, seed=0)
    before = state(copied)
    source = torch.Generator().manual_seed(0)
    if name in UNSCALABLE:
        with pytest.raises(ValueError, match=UNSCALABLE[name]):
            init.lsuv_(copied, generator=source, **batch)
        assert_unchanged(before, state(copied))
        return
    report = init.lsuv_(copied, generator=source, **batch)
    assert_unchanged(before, state(copied), parameters=False)
    scaled = [row for row in report.rows if row["std_after"] is not None]
    assert scaled
    assert all(abs(row["std_after"] - 1) < 1e-3 for row in scaled)
    for row in report.rows:
        if row["std_after"] is None:
            assert row["note"].startswith(("shares the weight of", "not reached"))


# These branch on values, or leave layers out at random in training.
NEEDS_DATA = ("BEiT", "DETR", "wav2vec 2.0")


def test_a_plan_on_a_batch_is_that_on_proxies(built):
    name, model, batch = built
    before = state(model)
    on_batch = init.plan(model, example=batch).rows
    assert_unchanged(before, state(model))
    if name not in NEEDS_DATA:
        assert on_batch == init.plan(model).rows


def test_residual_branches_and_activations_are_found():
    found = {name: trace(ARCHITECTURES[name][0]()) for name in ("GPT-2", "BERT", "ViT", "Whisper")}
    assert {name: each.branch_count for name, each in found.items()} == {
        "GPT-2": 4,
        "BERT": 4,
        "ViT": 4,
        "Whisper": 10,
    }
    gpt2 = found["GPT-2"].layers
    assert {name for name, info in gpt2.items() if info.ends} == {
        f"transformer.h.{i}.{part}.c_proj" for i in (0, 1) for part in ("attn", "mlp")
    }
    # GPT-2 writes its own GELU, with tanh.
    gain = init.gain(gpt2["transformer.h.0.mlp.c_fc"].nonlinearity)
    assert gain == pytest.approx(init.gain("gelu_tanh"), rel=1e-6)


def test_the_recipe_gpt2_gives_gpt2_its_published_numbers():
    model = ARCHITECTURES["GPT-2"][0]()
    stds = {row["parameter"]: row["std"] for row in init.plan(model, "gpt2").rows}
    assert stds["transformer.h.0.attn.c_attn.weight"] == pytest.approx(0.02)
    assert stds["transformer.h.0.mlp.c_proj.weight"] == pytest.approx(0.02 / 4**0.5)
    assert stds["transformer.wte.weight"] == pytest.approx(0.02)


class InOutLinear(nn.Module):
    """A linear layer with its weight as (in, out)."""

    def __init__(self, into, out):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(into, out))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x):
        return x @ self.weight + self.bias


class FromZero(nn.Module):
    """An RMS norm whose weight is an offset from one, under an unusual name."""

    def __init__(self, size):
        super().__init__()
        self.g = nn.Parameter(torch.ones(size))

    def forward(self, x):
        return x / x.square().mean(-1, keepdim=True).add(1e-6).sqrt() * (1 + self.g)


class Experts(nn.Module):
    def __init__(self, turned):
        super().__init__()
        self.turned = turned
        self.inner = nn.Parameter(torch.zeros((4, 16, 64) if turned else (4, 64, 16)))

    def forward(self, x):
        return torch.bmm(x, self.inner if self.turned else self.inner.transpose(1, 2))


def test_custom_layers_are_recognized_by_what_they_compute():
    model = nn.Sequential(InOutLinear(400, 100), nn.ReLU(), FromZero(100), nn.Linear(100, 10))
    made = init.initialize_(model, seed=0, keep_deliberate=False)
    rows = {row["parameter"]: row for row in made.rows}
    # He's number by hand: sqrt(2 / 400).
    assert rows["0.weight"]["std"] == pytest.approx(0.0707107, rel=1e-5)
    assert (rows["0.weight"]["fan_in"], rows["2.g"]["mean"]) == (400, 0.0)
    x = torch.randn(50, 400, generator=torch.Generator().manual_seed(0))
    assert [row["layer"] for row in init.measure(model, x).rows] == ["0", "3"]
    report = init.lsuv_(model, x, generator=torch.Generator().manual_seed(0))
    assert [row["layer"] for row in report.rows] == ["0", "3"]
    assert model[0](x).std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("turned", [True, False])
def test_stacked_weights_are_read_along_the_axis_that_is_summed_over(turned):
    (row,) = init.plan(Experts(turned)).rows
    assert row["fan_in"] == 16
    assert row["std"] == pytest.approx(0.25)
    assert row["note"] == f"treated as 4 weights ({'in, out' if turned else 'out, in'})"


def test_parameters_outside_layers_get_a_role_from_the_forward():
    class Held(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 1, 32))
            self.places = nn.Parameter(torch.zeros(1, 9, 32))
            self.factor = nn.Parameter(torch.full((32,), 1e-6))
            self.shift = nn.Parameter(torch.ones(32))
            self.rate = nn.Parameter(torch.randn(32))

        def forward(self, x):
            x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.places
            return (x * self.factor + self.shift) * torch.cumsum(self.rate, 0)

    with pytest.raises(
        ValueError, match=r"got none for rate: .*\(the forward uses it in cumsum, which suggests"
    ):
        init.plan(Held())
    rows = {row["parameter"]: row for row in init.plan(Held(), ["auto", "keep"]).rows}
    laws = {name: row["law"] for name, row in rows.items()}
    assert laws == {
        "token": "truncated_normal_",
        "places": "truncated_normal_",
        "factor": "ones_",
        "shift": "zeros_",
        "rate": "keep_",
    }
    assert rows["factor"]["note"] == "treated as a scale"
