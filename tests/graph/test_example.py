"""Traces on a batch: of forwards that need data, and the same as on proxies for all others."""

import time
from collections import UserDict
from dataclasses import dataclass

import code_base_models
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import initguide as init
from initguide.graph.trace import trace

WIDTH = 256


def batch(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def before(model, **options):
    return {row["parameter"]: row["before"] for row in init.plan(model, **options).rows}


class Clipped(nn.Module):
    """Rescales a large signal, which depends on values."""

    def __init__(self):
        super().__init__()
        self.inner, self.gate = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x, *, scale=1.0):
        a, b = self.inner(x).chunk(2, -1)
        if a.abs().max() > 0:
            a = a / 2
        h = F.relu(a) + F.relu(b) + 1 - torch.tanh(self.gate(x)) * scale
        return self.head(h)


class Routed(nn.Module):
    """Calls only the experts that a batch chooses."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(WIDTH, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(WIDTH, 512), nn.GELU(), nn.Linear(512, WIDTH)) for _ in range(4)
        )
        self.out = nn.Linear(WIDTH, 3)

    def forward(self, x):
        chosen, y = self.router(x).argmax(-1), torch.zeros_like(x)
        for index in chosen.unique().tolist()[:2]:
            rows = chosen == index
            y[rows] = self.experts[index](x[rows])
        return self.out(torch.sigmoid(y))


class Halves(nn.Module):
    """Loops over a size."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        n = x.size(0)
        while n >= 2:
            n = n // 2
        return self.last(torch.relu(self.first(x)))


class Doubles(nn.Module):
    """Loops over a size, with operations in the loop, and catches all errors."""

    def __init__(self):
        super().__init__()
        self.shared, self.end = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        i = 1
        while i <= x.shape[0]:
            try:
                x = F.silu(self.shared(x))
                i *= 2
            except Exception:
                continue
        return self.end(x)


CHANGED = {
    "clipped": (Clipped, {"inner.weight": "relu", "gate.weight": "tanh", "head.weight": "linear"}),
    "halves": (Halves, {"first.weight": "relu", "last.weight": "linear"}),
    "doubles": (Doubles, {"shared.weight": "silu", "end.weight": "linear"}),
}
REASONS = {
    "clipped": "it branches on a value, which needs an example",
    "halves": "it does not end on proxies, which needs an example",
    "doubles": "it does not end on proxies, which needs an example",
}


@pytest.mark.parametrize("name", CHANGED)
def test_an_example_shows_what_proxies_cannot(name):
    build, right = CHANGED[name]
    model = build()
    start = time.monotonic()
    rows = [row for row in init.plan(model).rows if row["fan_in"]]
    # Far above the time that it takes: the loop must end.
    assert time.monotonic() - start < 60
    reason = f"forward of the model cannot be traced: {REASONS[name]}"
    assert {row["note"] for row in rows} == {reason}
    assert "relu" not in {row["before"] for row in rows}
    found = before(model, example=batch(4, WIDTH))
    assert {key: found[key] for key in right} == right
    assert init.audit(init_model(model), example=batch(4, WIDTH)).ok


def init_model(model):
    """Return the model with the values that a plan on an example gives."""
    init.plan(model, example=batch(4, WIDTH)).write_(0)
    return model


def test_an_inner_module_that_needs_data_is_named_and_the_rest_is_traced():
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), Clipped(), nn.Tanh())
    rows = {row["parameter"]: row for row in init.plan(model).rows}
    note = "forward of 2 cannot be traced: it branches on a value, which needs an example"
    assert rows["2.head.weight"]["note"] == note
    assert before(model, example=batch(4, WIDTH))["0.weight"] == "relu"


def test_experts_that_the_batch_does_not_choose_are_traced_by_themselves():
    model = Routed()
    found = before(model, example=batch(1, WIDTH))
    assert {found[f"experts.{i}.0.weight"] for i in range(4)} == {"gelu"}
    assert found["out.weight"] == "linear"


@dataclass
class Arguments:
    x: Tensor
    scale: float = 1.0


class TakesOne(nn.Module):
    """Takes all its inputs as one object."""

    def __init__(self):
        super().__init__()
        self.inner = Clipped()

    def forward(self, data):
        x = data.x if isinstance(data, Arguments) else data["x"]
        return {"y": [self.inner(x)]}


@pytest.mark.parametrize(
    ("build", "example"),
    [
        (Clipped, batch(2, 5, WIDTH)),
        (Clipped, (batch(2, WIDTH),)),
        (Clipped, {"x": batch(2, WIDTH), "scale": 2.0}),
        (Clipped, UserDict(x=batch(2, WIDTH))),
        (TakesOne, {"x": batch(2, WIDTH)}),
        (TakesOne, Arguments(batch(2, WIDTH))),
    ],
    ids=["tensor", "tuple", "keywords", "mapping", "a dict as argument", "dataclass"],
)
def test_forms_of_an_example(build, example):
    found = before(build(), example=example)
    assert next(iter(found.values())) == "relu"


def test_an_example_is_not_changed():
    class Consumes(Clipped):
        def forward(self, data):
            x = data.pop("x")
            x += 1
            return super().forward(x)

    example = {"x": batch(2, WIDTH)}
    value = example["x"].clone()
    init.plan(Consumes(), example=(example,))
    assert torch.equal(example["x"], value)


def test_an_example_that_does_not_fit_names_the_layer():
    with pytest.raises(
        ValueError, match=r"^example must be a batch .* RuntimeError: mat1 .*'inner'"
    ):
        init.plan(Clipped(), example=batch(2, WIDTH + 1))


class Mixed(nn.Module):
    """Operators in both orders, attributes, operations in place, parts, and functions of torch."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.table, self.scale = (
            nn.Parameter(torch.zeros(8, WIDTH)),
            nn.Parameter(torch.ones(WIDTH)),
        )
        self.mixing = nn.Parameter(torch.zeros(WIDTH, WIDTH))
        self.act, self.drop, self.norm = nn.ELU(), nn.Dropout(0.1), nn.LayerNorm(WIDTH)
        self.rnn, self.plain = nn.GRU(WIDTH, WIDTH, batch_first=True), torch.ones(WIDTH)
        self.register_buffer("mask", torch.ones(8, 8).tril())

    def forward(self, x):
        x = x * self.plain + self.table[: x.shape[1]]
        y = self.act(self.norm(self.a(x)))
        y *= self.scale
        x = x + self.drop(self.b(y))
        scores = (x @ x.mT / 16).masked_fill(self.mask == 0, -1e9)
        z, _ = self.rnn(scores.softmax(-1) @ x)
        first, _ = (2 - F.gelu(z @ self.mixing)).split(WIDTH // 2, -1)
        return self.c(torch.cat([first, first.neg()], -1))[:, -1]


AGREEING = {
    "mixed": (Mixed, (2, 8, WIDTH)),
    "sequential": (
        lambda: nn.Sequential(
            *(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.Flatten()),
            *(nn.Linear(64 * 36, WIDTH), nn.SiLU(), nn.Linear(WIDTH, 10)),
        ),
        (2, 3, 8, 8),
    ),
    "encoder": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(WIDTH, 4, 512, batch_first=True), 2
        ),
        (2, 5, WIDTH),
    ),
    "one layer": (lambda: nn.Linear(WIDTH, 10), (2, WIDTH)),
}


@pytest.mark.parametrize("name", AGREEING)
def test_a_batch_and_proxies_give_the_same_plan(name):
    build, shape = AGREEING[name]
    model = build()
    assert init.plan(model, example=batch(*shape)).rows == init.plan(model).rows


@pytest.mark.parametrize("family", ["llama", "gpt", "moe", "mamba", "dit"])
def test_a_batch_and_proxies_give_the_same_plan_of_a_family(family):
    model, example = code_base_models.make(family, 64, 2), code_base_models.batch(family)
    assert init.plan(model, example=example).rows == init.plan(model).rows


def test_the_recorded_activation_records_no_more():
    class Own(nn.Module):
        def forward(self, x):
            return x * torch.sigmoid(1.5 * x)

    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), Own(), nn.Linear(WIDTH, 1))
    activation = trace(model, batch(2, WIDTH)).layer("0").nonlinearity
    assert "forward" not in vars(activation)
    assert "forward" not in vars(model[1])


def test_the_forward_of_an_instance_counts():
    model = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
    first, _, last = model
    model.forward = lambda x: last(torch.tanh(first(x)))
    assert before(model)["0.weight"] == "tanh"
    assert before(model, example=batch(2, WIDTH))["0.weight"] == "tanh"


class Waits(nn.Module):
    """A forward with a vector of its own, which asks for the size of its input."""

    def __init__(self):
        super().__init__()
        self.mark, self.layer = nn.Parameter(torch.randn(1, 1, WIDTH)), nn.Linear(WIDTH, 3)

    def forward(self, x):
        if float(x.abs().sum()) > 0:
            x = torch.cat([self.mark.expand(len(x), -1, -1), x[:, None]], 1)
        return self.layer(x)


def test_a_parameter_whose_use_needs_data_asks_for_an_example():
    with pytest.raises(ValueError, match=r"got none for mark: show how .* as example=batch"):
        init.plan(Waits())
    rows = init.plan(Waits(), example=batch(4, WIDTH)).rows
    assert {row["parameter"]: row["law"] for row in rows}["mark"] == "truncated_normal_"


class Capturing(nn.Module):
    """A model that hooks its blocks at its first call, and reads what the hooks captured."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
        self.head, self.captured = nn.Linear(8, 2), []
        self._capture_hooks_installed = False

    def forward(self, x):
        if not getattr(self, "_capture_hooks_installed", False):
            for block in self.blocks:
                block.register_forward_hook(lambda _, __, output: self.captured.append(output))
            self._capture_hooks_installed = True
        self.captured.clear()
        for block in self.blocks:
            x = torch.relu(block(x))
        return self.head(x + self.captured[0])


@pytest.mark.parametrize("called", [False, True])
def test_a_model_that_hooks_itself_at_its_first_call_is_planned_before_and_after_it(called):
    model, batch = Capturing(), torch.randn(4, 8)
    if called:
        model(batch)
    hooks = [len(block._forward_hooks) for block in model.blocks]
    rows = {row["parameter"]: row for row in init.plan(model, example=batch).rows}
    assert rows["blocks.0.weight"]["before"] == "relu"
    assert [len(block._forward_hooks) for block in model.blocks] == hooks
