"""Habits of published models that `measure` must not take for faults."""

import copy
from types import SimpleNamespace

import pytest
import torch
from models import generator
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import initguide as init
from initguide.diagnostics.messages import branch_ends

WIDTH = 64


def batch(*shape):
    return torch.randn(shape or (32, WIDTH), generator=generator(0))


def square(output):
    return (output - 1).square().mean()


def kinds(model, *inputs, loss=square):
    return [each.kind for each in init.measure(model, *inputs, loss=loss).findings]


def perceptron(out=WIDTH):
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, out))


class Momentum(nn.Module):
    """A network and its frozen copy, which follows it and may run first."""

    def __init__(self, learns, first):
        super().__init__()
        self.online, self.first = perceptron(), first
        self.target = copy.deepcopy(self.online).requires_grad_(learns)

    def forward(self, x):
        y = self.target(x) if self.first else 0
        return self.online(x) - (y if self.first else self.target(x))


@pytest.mark.parametrize("first", [True, False])
def test_a_frozen_copy_is_meant(first):
    found = {learns: kinds(Momentum(learns, first), batch()) for learns in (True, False)}
    assert found == {True: ["cloned layers"], False: []}


class FromCode(nn.Module):
    """The inputs modulate a signal that a parameter starts."""

    def __init__(self, size):
        super().__init__()
        self.code = nn.Parameter(torch.full((1, WIDTH), size))
        self.first, self.style, self.last = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, x):
        return self.last(F.layer_norm(self.first(self.code) * self.style(x), (WIDTH,)))


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_a_parameter_is_no_input(size):
    assert "inputs badly scaled" not in kinds(FromCode(size), batch())


class Gated(nn.Module):
    """Each layer scales the signal by a number plus a small network of it."""

    def __init__(self, depth=4, start=1.0):
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
        self.last, self.start = nn.Linear(WIDTH, 10), start
        for gate in self.gates:
            nn.init.normal_(gate.weight, std=1e-4, generator=generator(1))
            nn.init.zeros_(gate.bias)

    def forward(self, x):
        for gate in self.gates:
            x = x * (gate(x) + self.start)
        return self.last(x)


@pytest.mark.parametrize(("start", "lost"), [(1.0, False), (2, False), (0.0, True)])
def test_what_is_added_to_a_larger_number_may_be_small(start, lost):
    assert ("signal vanishes" in kinds(Gated(start=start), batch())) == lost


class Mixed(nn.Module):
    """Branches that end in layers with different fans: every third one is a convolution."""

    def __init__(self, depth=9, faulty=()):
        super().__init__()
        self.ends = nn.ModuleList(
            nn.Linear(WIDTH, WIDTH) if i % 3 else nn.Conv1d(WIDTH, WIDTH, 9, padding=4)
            for i in range(depth)
        )
        self.inner = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
        small = depth**-0.5 if faulty else 1.0
        for i, (end, inner) in enumerate(zip(self.ends, self.inner, strict=True)):
            times = 1.0 if i in faulty else small
            fan_in = end.weight[0].numel()
            nn.init.normal_(end.weight, std=times * fan_in**-0.5, generator=generator(i))
            nn.init.normal_(inner.weight, std=WIDTH**-0.5, generator=generator(i + 20))

    def forward(self, x):
        for end, inner in zip(self.ends, self.inner, strict=True):
            h = F.gelu(inner(F.layer_norm(x, (WIDTH,))))
            h = end(h.mT).mT if isinstance(end, nn.Conv1d) else end(h)
            x = x + h
        return x


@pytest.mark.parametrize(("faulty", "found"), [((), []), ((1, 4), ["residual sums grow"])])
def test_branches_with_the_same_gain_lack_no_factor(faulty, found):
    # The std of a kernel of 9 places is a third, which is also 1 / sqrt(9 branches).
    assert kinds(Mixed(faulty=faulty), batch(4, 12, WIDTH)) == found


class Ensemble(nn.Module):
    """Several networks that run as one, by `vmap`; where asked, a layer outside."""

    def __init__(self, head):
        super().__init__()
        self.members = nn.ModuleList(perceptron() for _ in range(3))
        self.head = nn.Linear(WIDTH, 10) if head else None

    def forward(self, x):
        values = stack_module_state([*self.members])
        y = torch.vmap(lambda *v: functional_call(self.members[0], v, (x,)))(*values).mean(0)
        return y if self.head is None else self.head(y)


def test_layers_in_vmap_are_named():
    with pytest.raises(ValueError, match=r"'members.0.0' in torch.func.vmap: measure one"):
        init.measure(Ensemble(head=False), batch())
    report = init.measure(Ensemble(head=True), batch(), loss=square)
    assert [row["layer"] for row in report.rows] == ["head"]
    assert "members.0.0" in report.notes[0]
    model = Ensemble(head=True)
    before = [p.clone() for p in model.parameters()]
    with pytest.raises(ValueError, match=r"'members.0.0' must run on its own weight"):
        init.lsuv_(model, batch())
    assert all(map(torch.equal, before, model.parameters()))


class Checkpointed(nn.Module):
    def __init__(self, run):
        super().__init__()
        self.blocks, self.run = nn.ModuleList(perceptron() for _ in range(3)), run

    def forward(self, x):
        for block in self.blocks:
            x = x + self.run(block, x)
        return x


def test_a_checkpointed_model_is_measured_as_the_plain_one():
    plain = Checkpointed(lambda block, x: block(x))
    right = init.measure(plain, batch(), loss=square).rows
    apply = torch.utils.checkpoint.CheckpointFunction.apply
    for reentrant in (True, False):
        model = copy.deepcopy(plain)
        model.run = lambda block, x, again=reentrant: checkpoint(block, x, use_reentrant=again)
        x = batch().requires_grad_()
        assert init.measure(model, x, loss=square).rows == right
    assert torch.utils.checkpoint.CheckpointFunction.apply == apply


class Steps(nn.Module):
    """A layer whose bias sets the sizes of steps."""

    def __init__(self, low, high):
        super().__init__()
        self.enter, self.steps = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        with torch.no_grad():
            self.steps.bias.copy_(torch.linspace(low, high, WIDTH))

    def forward(self, x):
        return F.softplus(self.steps(F.silu(self.enter(x))))


@pytest.mark.parametrize(("low", "high"), [(-7.0, -2.0), (3.0, 8.0)])
def test_lsuv_leaves_a_bias_that_sets_steps(low, high):
    model = Steps(low, high)
    weight = model.steps.weight.clone()
    rows = {row["layer"]: row for row in init.lsuv_(model, batch()).rows}
    assert rows["steps"]["note"] == "its bias sets steps or gates"
    assert rows["enter"]["std_after"] == pytest.approx(1, abs=1e-3)
    assert torch.equal(model.steps.weight, weight)
    with pytest.raises(ValueError, match="a bias of variance below 1"):
        init.lsuv_(Steps(-5.0, 5.0), batch())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [16, 48])
def test_lsuv_reaches_what_half_precision_can(dtype, width):
    layers = [m for _ in range(6) for m in (nn.Linear(width, width), nn.GELU())]
    model = nn.Sequential(*layers).to(dtype)
    report = init.lsuv_(model, batch(6, width).to(dtype), tol=0, generator=generator(0))
    for row in report.rows:
        assert abs(row["std_after"] - 1) <= torch.finfo(dtype).eps


def test_a_router_ends_no_branch():
    sizes = [(64, True), (4, True), (64, True), (64, False)]
    layers: list = [SimpleNamespace(units=n, ends=ends, is_table=False) for n, ends in sizes]
    assert branch_ends(layers) == [layers[0], layers[2]]
    assert branch_ends(layers[3:]) == []


class Scan(nn.Module):
    """A state-space layer that sums the exponents of its steps over a chunk, as Mamba-2 does."""

    def __init__(self, start, name="dt_bias", heads=16, width=64):
        super().__init__()
        self.name, self.enter, self.leave = name, nn.Linear(width, width), nn.Linear(width, 4)
        self.dt = nn.Linear(width, heads, bias=False)
        self.register_parameter(name, nn.Parameter(start(heads)))
        self.A_log = nn.Parameter(torch.arange(1.0, heads + 1).log())

    def forward(self, x):
        step = F.softplus(self.dt(x) + getattr(self, self.name)).clamp(min=1e-4)
        decay = (-self.A_log.float().exp() * step).permute(0, 2, 1)
        total = decay.masked_fill(torch.zeros(x.shape[1], dtype=torch.bool), 0).cumsum(-1)
        keep = (total[..., :, None] - total[..., None, :]).tril().exp().tril().mean(1)
        y = keep @ (step.mean(-1)[..., None] * self.enter(x))
        return self.leave(torch.relu(y + total.exp().mean(1)[..., None]))


def small(heads):
    return torch.log(torch.expm1(torch.logspace(-3, -1, heads)))


@pytest.mark.parametrize("name", ["dt_bias", "delta"])
@pytest.mark.parametrize(("start", "found"), [(torch.ones, True), (small, False)])
def test_the_steps_of_a_scan_are_seen(name, start, found):
    x = torch.randn(4, 12, 64, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    report = init.measure(Scan(start, name), x)
    kinds = [("state forgotten", name)] if found else []
    assert [(each.kind, each.where) for each in report.findings] == kinds


@pytest.mark.parametrize("name", ["dt_bias", "delta"])
def test_a_placeholder_of_the_steps_of_a_state_space_layer_is_drawn_anew(name):
    model = Scan(torch.ones, name)
    rows = {row["parameter"]: row for row in init.initialize_(model, seed=0).rows}
    assert rows[name]["law"] == "time_step_bias_"
    assert F.softplus(getattr(model, name).detach()).max() <= 0.1001
    kept = {row["parameter"]: row for row in init.plan(Scan(small, name)).rows}[name]
    assert kept["note"].startswith("kept")
