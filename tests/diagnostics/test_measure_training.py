"""`measure_training` sees what a training loop does, and finds planted faults."""

import copy
import itertools

import pytest
import torch
from measured_training import ADAM, SGD, batches, found, measured, mlp
from models import generator
from torch import nn
from torch.nn import functional as F

import initguide as init

# Against a training loop written by hand.


def test_each_step_is_that_of_a_training_loop():
    model = mlp()
    report = measured(model, ADAM(model.parameters(), lr=1e-3), steps=5)
    twin = copy.deepcopy(model)
    optimizer = ADAM(twin.parameters(), lr=1e-3)
    data = [*itertools.islice(batches(), 5)]
    for step, (x, y) in enumerate([*data, data[0]]):
        rows = {row["layer"]: row for row in report.rows if row["step"] == step}
        right = init.measure(twin, x, loss=lambda out, y=y: F.cross_entropy(out, y))
        for want in right.rows:
            got = rows[want["layer"]]
            for key in ("rms", "std", "gradient_rms"):
                assert got[key] == pytest.approx(want[key], rel=1e-4), (step, key)
            assert got["dead"] == (None if want["dead"] is None else want["dead"] / 128)
        loss = F.cross_entropy(twin(x), y)
        assert rows["0"]["loss"] == pytest.approx(loss.item(), rel=1e-5)
        optimizer.zero_grad()
        loss.backward()
        before = {name: p.detach().clone() for name, p in twin.named_parameters()}
        optimizer.step()
        for layer, row in rows.items():
            if step == 5:
                assert row["update"] is None
                continue
            old, new = before[f"{layer}.weight"], twin.get_parameter(f"{layer}.weight")
            size, change = old.square().mean().sqrt(), (new - old).square().mean().sqrt()
            assert row["weight_rms"] == pytest.approx(size.item(), rel=1e-5)
            assert row["update"] == pytest.approx((change / size).item(), rel=1e-3)
    assert len(report.rows) == 6 * 5


def test_the_first_step_of_sign_descent_has_the_size_of_the_rate():
    model = mlp(nonlinearity=nn.Tanh)
    # Adam's first step is the rate times the sign of the gradient.
    report = measured(model, ADAM(model.parameters(), lr=1e-3, eps=0.0), steps=1)
    for row in report.rows:
        if row["step"] == 0:
            assert row["update"] * row["weight_rms"] == pytest.approx(1e-3, rel=1e-3)


def test_the_printed_table_has_a_row_for_each_layer():
    model = mlp()
    report = measured(model, SGD(model.parameters(), lr=0.1), steps=4)
    assert [row["layer"] for row in report.printed] == ["0", "2", "4", "6", "8"]
    for row in report.printed:
        mine = [each for each in report.rows if each["layer"] == row["layer"]]
        updates = sorted(each["update"] for each in mine[:-1])
        assert row["update"] == pytest.approx((updates[1] + updates[2]) / 2)
        assert row["largest"] == updates[-1]
        assert (row["rms_first"], row["rms_last"]) == (mine[0]["rms"], mine[-1]["rms"])
        assert row["drift"] == mine[-1]["rms"] / mine[0]["rms"]
    first, last = report.rows[0]["loss"], report.rows[-1]["loss"]
    expected = f"4 of 4 steps of SGD: the loss goes from {first:.3g} to {last:.3g}"
    assert report.title == f"{expected} on the first batch"


# Sound training.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("optimizer", "lr"), [(SGD, 0.1), (SGD, 0.02), (ADAM, 3e-3), (ADAM, 3e-4)])
@pytest.mark.parametrize("nonlinearity", [nn.ReLU, nn.Tanh])
def test_training_that_learns_has_no_findings(optimizer, lr, nonlinearity, seed):
    model = mlp(nonlinearity=nonlinearity, seed=seed)
    report = measured(model, optimizer(model.parameters(), lr=lr), data=batches(seed))
    assert report.rows[-1]["loss"] < report.rows[0]["loss"]
    report.assert_ok()
    assert report.notes == []


class Zeros(nn.Module):
    """A residual network whose branches and head start at zero, and with small factors."""

    def __init__(self):
        super().__init__()
        self.enter, self.head = nn.Linear(64, 128), nn.Linear(128, 10)
        self.up, self.down = nn.Linear(128, 256), nn.Linear(256, 128)
        self.factor = nn.Parameter(torch.full((128,), 1e-4))
        init.initialize_(self, seed=0)
        for weight in (self.down.weight, self.head.weight):
            nn.init.zeros_(weight)
        nn.init.constant_(self.factor, 1e-4)

    def forward(self, x):
        x = self.enter(x)
        x = x + self.down(F.relu(self.up(x)))
        return self.head(x + self.factor * torch.tanh(x))


def test_weights_that_start_at_zero_may_grow():
    model = Zeros()
    report = measured(model, ADAM(model.parameters(), lr=1e-3))
    updates = {row["layer"]: row["update"] for row in report.rows if row["step"] == 0}
    assert updates["down"] is updates["head"] is None
    largest = {row["layer"]: row["largest"] for row in report.printed}
    assert largest["down"] > 0.3
    assert largest["factor"] > 0.3
    report.assert_ok()


# Planted faults.


def one_group(model, prefix, lr, kind=SGD, base=0.1):
    """Return an optimizer that gives one layer its own learning rate."""
    own = [p for name, p in model.named_parameters() if name.startswith(prefix)]
    rest = [p for name, p in model.named_parameters() if not name.startswith(prefix)]
    return kind([{"params": own, "lr": lr}, {"params": rest}], lr=base)


class Detached(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x):
        return self.c(torch.relu(self.b(torch.relu(self.a(x)))).detach())


class Root(nn.Module):
    """The slope of a square root is infinite at zero, where its input is after a large step."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)
        init.initialize_(self, seed=0)
        nn.init.constant_(self.a.bias, 8.0)

    def forward(self, x):
        return self.c(torch.sqrt(self.b(torch.relu(self.a(x))).abs().clamp(max=4.0)))


def lacking(model):
    held = [p for name, p in model.named_parameters() if not name.startswith("4.")]
    return SGD(held, lr=0.1)


def killing(model):
    """One large step on the biases of a layer, in the direction that shuts it."""
    optimizer = SGD(model.parameters(), lr=1e-3)

    def shut(*_):
        model[2].bias.grad = torch.full_like(model[2].bias, 2e4)

    optimizer.register_step_pre_hook(shut)
    return optimizer


FAULTS = {
    "a layer that the optimizer lacks": (mlp, lacking, [("not in the optimizer", "4")]),
    "a detached layer": (Detached, lambda m: SGD(m.parameters(), lr=0.1), [("no gradient", "b")]),
    "a rate of zero": (
        mlp,
        lambda m: SGD(m.parameters(), lr=0.0),
        [("updates too small", "0")],
    ),
    "SGD, 1e-4 of the rate": (
        mlp,
        lambda m: SGD(m.parameters(), lr=1e-5),
        [("updates too small", "0")],
    ),
    "Adam, 1e-4 of the rate in one layer": (
        mlp,
        lambda m: one_group(m, "4.", 1e-7, ADAM, 1e-3),
        [("updates too small", "4")],
    ),
    "SGD, 100 times the rate in one layer": (
        mlp,
        lambda m: one_group(m, "4.", 10.0),
        [("updates too large", "4")],
    ),
    "Adam, 100 times the rate in one layer": (
        mlp,
        lambda m: one_group(m, "4.", 0.1, ADAM, 1e-3),
        [("updates too large", "4")],
    ),
    "Adam, 100 times the rate": (
        mlp,
        lambda m: ADAM(m.parameters(), lr=0.1),
        [("updates too large", None), ("units die", None), ("signal drifts", "0")],
    ),
    "SGD, 100 times the rate": (
        mlp,
        lambda m: SGD(m.parameters(), lr=10.0),
        [("updates too large", None), ("training diverges", None)],
    ),
    "a ReLU layer that dies": (mlp, killing, [("units die", "2"), ("signal drifts", "2")]),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("seed", range(2))
def test_planted_faults_are_found_at_their_layer(name, seed):
    make, optimizer, want = FAULTS[name]
    torch.manual_seed(seed)
    model = make()
    got = found(measured(model, optimizer(model), data=batches(seed)))
    effects = {kind for kind, _ in got[len(want) :]}
    assert effects <= {"signal drifts"}
    for (kind, where), (right, layer) in zip(got, want, strict=False):
        assert kind == right
        assert layer in (None, where)


def regression(lr, steps):
    model = nn.Sequential(nn.Linear(16, 32), nn.Linear(32, 1))
    init.initialize_(model, seed=0)
    x = torch.randn(64, 16, generator=generator(0))
    return measured(
        model, SGD(model.parameters(), lr=lr), steps, [(x, x[:, :1])] * steps, F.mse_loss
    )


def test_a_loss_that_explodes_is_found_while_it_is_finite():
    assert regression(0.02, 6).findings == []
    report = regression(0.5, 4)
    assert found(report)[-1] == ("training diverges", "loss")
    assert report.findings[-1].message.startswith("the loss on the first batch grows from 2.")


def test_the_step_and_the_layer_of_the_first_nan_are_named():
    model = mlp()
    optimizer = SGD(model.parameters(), lr=1e-3)
    count = itertools.count()

    def poison(*_):
        if next(count) == 3:
            model[4].weight.grad[0, 0] = torch.nan

    optimizer.register_step_pre_hook(poison)
    report = measured(model, optimizer)
    (each,) = report.findings
    assert (each.kind, each.where) == ("training diverges", "4")
    assert each.message.startswith("at step 4, the weights are NaN or infinite")
    assert report.title.startswith("4 of 20 steps of SGD: the loss goes from")
    assert report.rows[-1]["step"] == 4


def test_a_gradient_that_is_nan_is_found_where_it_begins():
    class Bad(nn.Sequential):
        def forward(self, x):
            h = self[1](self[0](x))
            # The slope of the root is infinite at zero, and that of the product is zero.
            return self[2](h) + (0.0 * h.sum()).sqrt()

    model = Bad(nn.Linear(64, 32), nn.Linear(32, 32), nn.Linear(32, 10))
    (each,) = measured(model, SGD(model.parameters(), lr=0.1)).findings
    assert (each.kind, each.where) == ("non-finite values", "1")
    assert "gradient" in each.message


def test_numbers_that_are_not_finite_before_any_step_are_those_of_measure():
    model = mlp()
    nn.init.constant_(model[2].weight, torch.nan)
    report = measured(model, SGD(model.parameters(), lr=0.1))
    assert report.findings == init.measure(model, next(batches())[0]).findings
    assert report.title.startswith("0 of 20 steps")


def test_a_rounded_update_gets_another_hint():
    model = mlp().bfloat16()
    data = ((x.bfloat16(), y) for x, y in batches())
    (each,) = measured(model, SGD(model.parameters(), lr=1e-4), data=data).findings
    assert each.kind == "updates too small"
    assert each.hint == "torch.bfloat16 rounds small changes away: train float32 weights"


def test_frozen_layers_are_noted_and_not_blamed():
    model = mlp()
    model[2].requires_grad_(False)
    report = measured(model, SGD(model.parameters(), lr=0.1))
    assert report.findings == []
    assert report.notes == ["frozen, so not updated: 2.weight (and 1 more)"]
    assert {row["update"] for row in report.rows if row["layer"] == "2"} == {None}
