"""Parameters that share memory, or stand in a list, and models inside wrappers."""

import pytest
import torch
from plans import rows, same, state, stds
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide import Rule

# Ties by storage.


class Words(nn.Module):
    """A table and a head; the head holds the table's memory in a parameter of its own."""

    def __init__(self, vocabulary=1000, width=256):
        super().__init__()
        self.words = nn.Embedding(vocabulary, width, padding_idx=0)
        self.body = nn.Linear(width, width)
        self.logits = nn.Linear(width, vocabulary, bias=False)
        self.logits.weight.data = self.words.weight.data

    def forward(self, tokens):
        return self.logits(torch.tanh(self.body(self.words(tokens))))


class Twins(nn.Module):
    """Two convolutions in the same memory."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Conv1d(256, 256, 3), nn.Conv1d(256, 256, 3)
        self.right.weight.data = self.left.weight.data

    def forward(self, x, y):
        return torch.relu(self.left(x)), torch.relu(self.right(y))


@pytest.mark.parametrize(
    ("build", "first", "second"),
    [(Words, "words.weight", "logits.weight"), (Twins, "left.weight", "right.weight")],
)
def test_a_tie_by_storage_is_a_tie(build, first, second):
    model, tied = build(), build()
    owner, _, key = second.rpartition(".")
    tied.get_submodule(owner).register_parameter(key, tied.get_parameter(first))
    assert rows(model) == rows(tied)
    assert second not in rows(model)
    assert stds(model, [Rule(second, "normal_", std=0.5), "auto"])[first] == 0.5
    init.initialize_(model, seed=0)
    init.initialize_(tied, seed=0)
    assert same(state(model), state(tied))
    assert model.get_parameter(first).data_ptr() == model.get_parameter(second).data_ptr()
    assert init.audit(model).findings == []


def test_lsuv_scales_a_tie_by_storage_once():
    model = Twins()
    x = torch.randn(2, 8, 256, 10, generator=torch.Generator().manual_seed(0))
    report = init.lsuv_(model, *x)
    assert [row["note"] for row in report.rows] == ["", "shares the weight of left"]


class Packed(nn.Module):
    """Three projections; `whole` holds the memory of some of them as well."""

    def __init__(self, shared):
        super().__init__()
        self.q, self.k = nn.Linear(256, 256), nn.Linear(256, 256)
        self.whole = nn.Linear(256, 512)
        for name, part in zip(shared, self.whole.weight.data.chunk(2), strict=False):
            self.get_submodule(name).weight.data = part

    def forward(self, x):
        return F.relu(self.q(x) + self.k(x)), F.relu(self.whole(x))


@pytest.mark.parametrize("shared", [("q",), ("k", "q")])
def test_a_part_of_a_larger_parameter_is_planned_with_it(shared):
    plan = init.plan(Packed(shared))
    notes = {row["parameter"]: row["note"] for row in plan.rows}
    for name in ("q", "k"):
        part = "shares memory with whole.weight, left unchanged" if name in shared else None
        assert notes[f"{name}.weight"] == part
    assert notes["whole.weight"] is None
    assert "shares memory with whole.weight, left unchanged: " in str(plan)


def test_a_transposed_tie_is_planned_once():
    model = nn.Sequential(nn.Linear(300, 256), nn.ReLU(), nn.Linear(256, 300))
    model[2].weight.data = model[0].weight.data.T
    init.initialize_(model, seed=0)
    # He's std of the first: sqrt(2 / 300), with five standard errors.
    error = 5 / (2 * 300 * 256) ** 0.5
    assert model[0].weight.std().item() == pytest.approx((2 / 300) ** 0.5, rel=error)
    assert init.audit(model).findings == []


@pytest.mark.parametrize("axis", [0, 1])
def test_disjoint_parts_of_one_storage_are_planned_each(axis):
    model, plain = Packed(()), Packed(())
    memory = torch.randn((512, 256) if axis == 0 else (256, 512))
    model.q.weight.data, model.k.weight.data = memory.chunk(2, axis)
    assert rows(model) == rows(plain)
    init.initialize_(model, seed=0)
    init.initialize_(plain, seed=0)
    assert same(state(model), state(plain))


# Lists and dicts of parameters.


class Attributes(nn.Module):
    def __init__(self, width=256):
        super().__init__()
        self.w0, self.w1, self.w2 = (nn.Parameter(torch.empty(width, width)) for _ in range(3))
        self.b = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        x = torch.relu(x @ self.w0 + self.b)
        return F.linear(torch.tanh(x @ self.w1), self.w2)


class Listed(Attributes):
    def __init__(self, width=256):
        super().__init__(width)
        self.w = nn.ParameterList([self.w0, self.w1, self.w2])
        self.c = nn.ParameterDict({"b": self.b})
        del self.w0, self.w1, self.w2, self.b

    def forward(self, x):
        for weight in self.w[:2]:
            x = torch.relu(x @ weight + self.c["b"]) if weight is self.w[0] else x
        return F.linear(torch.tanh(x @ self.w[1]), self.w[2])


class Keyed(Attributes):
    def __init__(self, width=256):
        super().__init__(width)
        names = {"first": self.w0, "second": self.w1, "head": self.w2, "shift": self.b}
        del self.w0, self.w1, self.w2, self.b
        self.all = nn.ParameterDict(names)

    def forward(self, x):
        x = torch.relu(x @ self.all["first"] + self.all["shift"])
        return F.linear(torch.tanh(x @ self.all["second"]), self.all["head"])


@pytest.mark.parametrize("build", [Listed, Keyed])
@pytest.mark.parametrize("recipe", ["auto", "xavier", "orthogonal"])
def test_lists_and_dicts_of_parameters_are_planned_as_attributes(build, recipe):
    keys = ("shape", "fan_in", "before", "law", "mean", "std", "note")
    plain, listed = init.plan(Attributes(), recipe).rows, init.plan(build(), recipe).rows
    want = sorted(str([row[key] for key in keys]) for row in plain)
    assert sorted(str([row[key] for key in keys]) for row in listed) == want


# Wrappers.


def net(width=256):
    inner = nn.Sequential(nn.Linear(width, width), nn.Tanh())
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), inner, nn.Linear(width, 10))


def compiled(module):
    return torch.compile(module, backend="eager")


def inner_compiled():
    model = net()
    model[2] = compiled(model[2])
    model[3] = compiled(model[3])
    return model


WRAPPED = {
    "compiled": lambda: compiled(net()),
    "DataParallel": lambda: nn.DataParallel(net()),
    "both": lambda: nn.DataParallel(compiled(net())),
    "both, the other way": lambda: compiled(nn.DataParallel(net())),
    "inner modules": inner_compiled,
    "inner modules in a wrapper": lambda: nn.DataParallel(inner_compiled()),
}


@pytest.mark.parametrize("build", WRAPPED.values(), ids=WRAPPED)
def test_a_wrapped_model_has_the_names_and_the_values_of_the_model(build):
    plain, wrapped = net(), build()
    kinds = [type(module) for module in wrapped.modules()]
    rules = [Rule("2.0.weight", "orthogonal_"), "auto"]
    assert str(init.plan(wrapped, rules)) == str(init.plan(plain, rules))
    init.initialize_(plain, rules, seed=0)
    init.initialize_(wrapped, rules, seed=0)
    for one, other in zip(plain.parameters(), wrapped.parameters(), strict=True):
        assert torch.equal(one, other)
    assert init.audit(wrapped, rules).findings == []
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    reports = [
        init.lsuv_(model, x, generator=torch.Generator().manual_seed(1))
        for model in (plain, wrapped)
    ]
    assert str(reports[0]) == str(reports[1])
    for one, other in zip(plain.parameters(), wrapped.parameters(), strict=True):
        assert torch.equal(one, other)
    assert [type(module) for module in wrapped.modules()] == kinds
