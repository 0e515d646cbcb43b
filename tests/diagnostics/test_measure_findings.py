"""`measure` finds planted faults, names the layer, and finds nothing in sound models."""

import re

import pytest
import torch
from models import branches, classes, generator, mlp, vectors
from starts import FAULTY, HEALTHY, by
from torch import nn

import initguide as init
from initguide.diagnostics.hooks import place_in_branches, recording
from initguide.diagnostics.measure import measure
from initguide.diagnostics.messages import read_by
from initguide.diagnostics.statistics import equal_units
from initguide.diagnostics.watch import Watch
from initguide.graph.trace import trace

SEEDS = range(5)


@pytest.mark.parametrize("name", HEALTHY)
def test_sound_models_have_no_findings(name):
    make, batch = HEALTHY[name]
    for seed in SEEDS:
        report = measure(make(seed), batch(seed), loss=lambda y, seed=seed: classes(y, seed))
        report.assert_ok()
        assert report.notes == []


@pytest.mark.parametrize("name", FAULTY)
def test_planted_faults_are_found(name):
    make, batch, want = FAULTY[name]
    for seed in SEEDS:
        report = measure(make(seed), batch(seed), loss=lambda y, seed=seed: classes(y, seed))
        got = {finding.kind: finding.where for finding in report.findings}
        assert len(got) == len(report.findings)
        assert got.keys() == want.keys(), f"seed {seed}: {got}"
        for kind, layer in got.items():
            assert layer in want[kind].split(), f"seed {seed}: {got}"
        with pytest.raises(AssertionError, match=re.escape(report.findings[0].message)):
            report.assert_ok()


def test_each_kind_is_planted():
    planted = {kind for *_, want in FAULTY.values() for kind in want}
    assert planted == {name for name, kind in init.FINDINGS.items() if "measure" in kind.found_by}


def test_a_factor_is_judged_by_the_depth():
    def narrowing(depth):
        model = by("orthogonal", lambda: mlp(depth, nn.Identity))(0)
        for layer in model[:-1:2]:
            with torch.no_grad():
                layer.weight.mul_(0.8)
        return measure(model, vectors(0), loss=classes).findings

    assert narrowing(5) == []
    signal, gradient = narrowing(50)
    assert (signal.kind, gradient.kind) == ("signal vanishes", "gradient vanishes")
    assert "by a factor of 0.8 per layer" in signal.message
    assert "by a factor of 0.8 per layer" in gradient.message
    assert f"by {0.8**50:.1g} in all" in signal.message


def test_a_zero_gradient_below_a_dead_layer_is_not_blamed_on_depth():
    make, batch, _ = FAULTY["a bias that kills"]
    report = measure(make(0), batch(0), loss=classes)
    rows = {row["layer"]: row for row in report.rows}
    assert rows["4"]["dead"] == 100
    assert rows["2"]["gradient_rms"] == 0


def test_equal_units_see_the_same_difference():
    bias = torch.tensor([1.0, 2.0, 3.0])
    x = torch.tensor([[0.0], [0.0], [5.0]])
    for y, want in (
        (x + bias, True),
        # Biases alone: nothing arrives.
        (0 * x + torch.ones(3), False),
        # Nothing arrives from the first input.
        (torch.tensor([[-1.0] * 3, [-1.0] * 3, [1.0, 2.0, 3.0]]), False),
    ):
        assert bool(equal_units(y, 0, 1)) == want


def test_a_stream_is_judged_by_what_its_branches_read():
    model, x = branches(2), vectors(0, 32)
    init.initialize_(model, seed=0)
    (first, second), seen = model[1:3], []
    for branch in (first, second):
        branch.layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with recording(model, trace(model)) as record, Watch(record), torch.no_grad():
        output = model(x)
    place_in_branches(record, [output])
    assert [layer.alone for layer in record.layers] == [False, True, True, False]
    for layer, given in zip(record.layers[1:3], seen, strict=True):
        assert read_by(layer) == pytest.approx(given.square().mean().sqrt().item())


def test_growing_sums_are_to_be_zeroed_first():
    make, batch, _ = FAULTY["residual sums of one layer"]
    (found,) = measure(make(0), batch(0)).findings
    assert found.hint.index("zero the last layer") < found.hint.index("sqrt(branches)")
    assert "'fixup'" in found.hint
    # What it advises can be done here.
    model = make(0)
    init.initialize_(model, "fixup", seed=0)
    assert measure(model, batch(0)).findings == []


class Queries(nn.Module):
    """Learned queries, which are the same for all inputs, look at the inputs."""

    def __init__(self):
        super().__init__()
        self.read, self.query, self.key = (nn.Linear(100, 100) for _ in range(3))
        self.table = nn.Parameter(torch.ones(4, 100))
        self.head = nn.Linear(100, 10)

    def forward(self, x):
        x = self.read(x).view(-1, 4, 100)
        scores = self.query(self.table) @ self.key(x).mT
        return self.head((scores / 10).softmax(-1) @ x)[:, 0]


def test_small_queries_that_see_no_input_are_no_lost_signal():
    model = Queries()
    init.initialize_(model, seed=0)
    init.normal_(model.table, std=0.005, generator=generator(0))
    assert measure(model, vectors(0)).findings == []
    # The signal itself is still watched.
    init.normal_(model.read.weight, std=1e-4)
    assert [e.where for e in measure(model, vectors(0)).findings] == ["read"]


class Squeezed(nn.Module):
    """A branch that starts at zero, and whose end weights its units by themselves."""

    def __init__(self):
        super().__init__()
        self.stem, self.end, self.head = nn.Linear(100, 100), nn.Linear(100, 100), nn.Linear(100, 9)
        self.down, self.up = nn.Linear(100, 32), nn.Linear(32, 100)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)

    def forward(self, x):
        x = self.stem(x)
        y = self.end(torch.tanh(x))
        return self.head(x + y * torch.sigmoid(self.up(torch.relu(self.down(y)))))


def test_units_that_a_zero_branch_gives_zeros_are_not_dead():
    model = Squeezed()
    init.initialize_(model, seed=0)
    assert model.end.weight.abs().max() == 0
    assert measure(model, vectors(0)).findings == []


def test_no_gain_is_advised_for_a_sigmoid():
    make, batch, _ = FAULTY["sigmoid after Xavier"]
    for found in measure(make(0), batch(0), loss=classes).findings:
        assert "no gain removes the mean of a sigmoid; use another activation" in found.hint
        assert "the right gain" not in found.hint
    # One that is saturated has weights that are too large, whatever else.
    model = mlp(2, nn.Sigmoid)
    init.normal_(model[0].weight, std=10.0, generator=generator(0))
    found = measure(model, vectors(0)).findings
    assert (found[0].kind, "the right gain is 1.85" in found[0].hint) == ("saturated units", True)


class Wave(nn.Module):
    def forward(self, x):
        return torch.sin(30 * x)


def test_the_recipe_is_advised_for_a_sine():
    model = mlp(6, Wave)
    init.initialize_(model, "xavier", seed=0)
    (found,) = measure(model, vectors(0), loss=classes).findings
    assert (found.kind, found.hint) == ("gradient explodes", "for a sine, use the recipe 'siren'")
    # What it advises helps.
    for recipe in ("siren", "auto"):
        init.initialize_(model, recipe, seed=0)
        assert measure(model, vectors(0), loss=classes).findings == []


def test_no_gain_is_advised_where_it_is_the_right_one():
    found = measure(by("auto", lambda: mlp(100, nn.SiLU))(0), vectors(0), loss=classes).findings
    assert [each.kind for each in found] == ["signal explodes", "gradient explodes"]
    for each in found:
        assert each.hint == (
            "not understood, because the gain of this layer is right: see guide/best-practices.md"
        )


def test_a_sound_layer_after_dead_units_is_not_called_symmetric():
    # Constant weights are symmetric nonetheless, and come second.
    model = FAULTY["biases of -1"][0](0)
    init.constant_(model[10].weight, 0.1)
    found = [(each.kind, each.where) for each in measure(model, vectors(0)).findings]
    assert found == [("dead units", "4"), ("symmetric units", "10")]


class TwoTables(nn.Module):
    """Two tables with equal rows, side by side."""

    def __init__(self, rows, width, *, learns):
        super().__init__()
        self.left, self.right = nn.Embedding(rows, width), nn.Embedding(rows, width)
        self.right.weight.data.copy_(self.left.weight)
        self.left.requires_grad_(learns)
        self.right.requires_grad_(learns)
        self.head = nn.Linear(2 * width, 10)

    def forward(self, left, right):
        return self.head(torch.cat([self.left(left), self.right(right)], -1))


@pytest.mark.parametrize(("rows", "width"), [(64, 256), (40, 300)])
def test_equal_tables_are_a_fault_only_if_they_learn(rows, width):
    places = torch.arange(rows)
    for learns, kinds in ((True, ["cloned layers"]), (False, [])):
        report = init.measure(TwoTables(rows, width, learns=learns), places, places)
        assert [finding.kind for finding in report.findings] == kinds
