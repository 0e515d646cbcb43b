"""`measure_training` sees what a training loop does, finds planted faults, and changes nothing."""

# Models may draw from NumPy's legacy global state, which must be as before.
# ruff: noqa: NPY002

import copy
import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from models import generator
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import initguide as init
from initguide._state import seed_global_states
from initguide.experiments import digits

DATA = digits()
SGD, ADAM = torch.optim.SGD, torch.optim.Adam


def batches(seed=0, size=64):
    """Yield batches of digits without end."""
    source = generator(seed)
    while True:
        index = torch.randint(len(DATA.x_train), (size,), generator=source)
        yield DATA.x_train[index].float(), DATA.y_train[index]


def mlp(depth=4, width=128, nonlinearity=nn.ReLU, seed=0):
    layers = [nn.Linear(64, width), nonlinearity()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nonlinearity()]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    init.initialize_(model, seed=seed)
    return model


def measured(model, optimizer, steps=20, data=None, loss=F.cross_entropy):
    return init.measure_training(model, data or batches(), optimizer, loss, steps=steps)


def found(report):
    return [(each.kind, each.where) for each in report.findings]


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


# Nothing changes.


def noisy():
    """A model with buffers, dropout, and its own random numbers, in the middle of its training."""

    class Noisy(nn.Sequential):
        def forward(self, x):
            return super().forward(x + 0.01 * torch.randn_like(x) + np.random.rand() * 1e-3)

    layers = (nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))
    model = Noisy(*layers)
    model[2].eval()
    return model


def trained(kind):
    seed_global_states(0)
    model = noisy()
    optimizer = kind(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 3)
    for x, y in itertools.islice(batches(), 4):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        schedule.step()
    return model, optimizer, schedule


def everything(model, optimizer):
    """Return all that may change, with the identity of each object."""
    tensors = [*model.parameters(), *model.buffers(), *(p.grad for p in model.parameters())]
    state = [
        (id(p), name, value) for p, held in optimizer.state.items() for name, value in held.items()
    ]
    tensors += [value for *_, value in state if isinstance(value, torch.Tensor)]
    return {
        "tensors": [(id(each), each.detach().clone()) for each in tensors],
        "state": [(key, name, id(value)) for key, name, value in state],
        "groups": [
            {name: id(value) if name == "params" else value for name, value in group.items()}
            for group in optimizer.param_groups
        ],
        "attributes": {name: id(value) for name, value in vars(optimizer).items()},
        "modes": [each.training for each in model.modules()],
        "hooks": [len(each._forward_hooks) for each in model.modules()],
        "required": [each.requires_grad for each in model.parameters()],
        "random": (torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()),
    }


def assert_same(before, after):
    for (one, old), (other, new) in zip(before.pop("tensors"), after.pop("tensors"), strict=True):
        assert one == other
        torch.testing.assert_close(new, old, rtol=0, atol=0, equal_nan=True)
    assert before == after


def failing(at, error):
    count = itertools.count()

    def loss(out, y):
        if next(count) == at:
            raise error
        return F.cross_entropy(out, y)

    return loss


@pytest.mark.parametrize("kind", [ADAM, torch.optim.AdamW, torch.optim.Adagrad, SGD])
@pytest.mark.parametrize("lr", [1e-2, 1e12])
def test_nothing_changes(kind, lr, capfd):
    model, optimizer, _ = trained(kind)
    for group in optimizer.param_groups:
        group["lr"] = lr
    before = everything(model, optimizer)
    measured(model, optimizer, steps=6)
    assert_same(before, everything(model, optimizer))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [RuntimeError("mine"), KeyboardInterrupt()])
@pytest.mark.parametrize("at", [0, 3])
def test_nothing_changes_after_an_error(error, at):
    model, optimizer, _ = trained(ADAM)
    before = everything(model, optimizer)
    with pytest.raises(type(error)):
        measured(model, optimizer, loss=failing(at, error))
    assert_same(before, everything(model, optimizer))


def test_training_goes_on_as_if_it_had_not_been_measured():
    ends = []
    for look in (False, True):
        model, optimizer, schedule = trained(ADAM)
        if look:
            measured(model, optimizer, steps=3)
        for x, y in itertools.islice(batches(1), 3):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            schedule.step()
        ends.append([p.detach() for p in model.parameters()])
    for one, other in zip(*ends, strict=True):
        assert torch.equal(one, other)


def test_parameters_of_the_loss_are_restored():
    model, scale = mlp(), nn.Parameter(torch.ones(()))
    optimizer = SGD([*model.parameters(), scale], lr=0.1)
    report = measured(
        model, optimizer, loss=lambda out, y: F.cross_entropy(out, y) + scale.square()
    )
    assert report.findings == []
    assert scale.item() == 1.0
    assert scale.grad is None


def test_a_hook_may_clip_the_gradient():
    model = mlp()
    optimizer = SGD(model.parameters(), lr=10.0)
    kinds = dict(found(measured(model, optimizer)))
    assert "training diverges" in kinds

    def clip(*_):
        nn.utils.clip_grad_norm_(model.parameters(), 1e-2)

    optimizer.register_step_pre_hook(clip)
    assert measured(model, optimizer).findings == []


def test_autocast_around_the_call_sees_the_new_weights_of_each_step():
    model = mlp()
    optimizer = ADAM(model.parameters(), lr=1e-3)
    plain = measured(model, optimizer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = measured(model, optimizer)
    assert mixed.rows[-1]["loss"] == pytest.approx(plain.rows[-1]["loss"], rel=0.02)


# Batches of all kinds.


class Own(nn.Module):
    """A model that returns its own loss, in one of the usual forms."""

    def __init__(self, form):
        super().__init__()
        self.net, self.form = mlp(2), form

    def forward(self, x, y):
        logits = self.net(x)
        loss = F.cross_entropy(logits, y)
        return self.form(logits, loss)


FORMS = {
    "attribute": lambda logits, loss: SimpleNamespace(logits=logits, loss=loss),
    "key": lambda logits, loss: {"loss": loss, "logits": logits, "other": 2 * loss},
    "tuple": lambda logits, loss: (logits, loss),
    "scalar": lambda _, loss: loss,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("named", [False, True])
def test_a_model_may_return_its_loss(form, named):
    plain = mlp(2)
    right = measured(plain, SGD(plain.parameters(), lr=0.1), steps=3)
    model = Own(FORMS[form])
    data = ({"x": x, "y": y} if named else (x, y) for x, y in batches())
    report = measured(model, SGD(model.parameters(), lr=0.1), 3, data, None)
    assert [row["loss"] for row in report.rows] == [row["loss"] for row in right.rows]
    assert {row["layer"] for row in report.rows} == {"net.0", "net.2", "net.4"}


def test_batches_of_a_data_loader_of_tensors_and_of_several_inputs():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(2)

        def forward(self, x, more=0.0):
            return self.net(x + more)

    x, y = DATA.x_train[:256].float(), DATA.y_train[:256]
    losses = []
    for data, loss in (
        (DataLoader(TensorDataset(x, y), 64), F.cross_entropy),
        (DataLoader(TensorDataset(x, torch.zeros_like(x), y), 64), F.cross_entropy),
        (DataLoader(TensorDataset(x), 64), lambda out: out.square().mean()),
        (x.split(64), lambda out: out.square().mean()),
        ([{"x": part} for part in x.split(64)], lambda out: out.square().mean()),
    ):
        model = Sum()
        report = measured(model, SGD(model.parameters(), lr=0.01), 4, data, loss)
        losses.append([row["loss"] for row in report.rows])
    assert losses[0] == losses[1] != losses[2]
    assert losses[2] == losses[3] == losses[4]


def test_a_compiled_model_is_measured_as_the_model():
    right = measured(model := mlp(), SGD(model.parameters(), lr=0.1), 3)
    compiled = torch.compile(model, backend="eager")
    report = measured(compiled, SGD(compiled.parameters(), lr=0.1), 3)
    assert report.rows == right.rows


def test_tied_weights_and_inference_mode():
    model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Linear(64, 10))
    model[2].weight = model[0].weight
    with torch.inference_mode():
        report = measured(model, SGD(model.parameters(), lr=0.1), 3)
    updates = {row["layer"]: row["update"] for row in report.rows if row["step"] == 0}
    assert updates["0"] == updates["2"] > 0


# Bad input.


def other():
    return SGD(mlp().parameters(), lr=0.1)


NAN = torch.full((4, 64), torch.nan)
BAD = {
    "no model": ({"model": 3}, TypeError, "model must be an nn.Module; got int"),
    "no optimizer": ({"optimizer": 0.1}, TypeError, "must be a torch.optim.Optimizer; got float"),
    "optimizer of another model": (
        {"optimizer": other()},
        ValueError,
        "optimizer must hold parameters of the model; got 10 others",
    ),
    "no batches": ({"batches": 3}, TypeError, "batches must be iterable; got int"),
    "empty": ({"batches": []}, ValueError, "batches must last for 5 steps; they end at step 0"),
    "too few": (
        {"batches": [*itertools.islice(batches(), 3)]},
        ValueError,
        "batches must last for 5 steps; they end at step 3",
    ),
    "steps": ({"steps": 0}, ValueError, "steps must be a positive integer; got 0"),
    "loss": ({"loss": 1.0}, TypeError, "loss must be a function of the model's output; got 1.0"),
    "loss of another shape": (
        {"loss": lambda out, y: out},
        ValueError,
        r"loss must return a scalar; got shape \(64, 10\)",
    ),
    "loss without a gradient": (
        {"loss": lambda out, y: out.detach().sum()},
        ValueError,
        "loss must depend on a parameter that requires gradients",
    ),
    "no loss": (
        {"loss": None, "batches": [next(batches())[0]] * 5},
        ValueError,
        "loss must be given, unless the model returns its own; got 0 scalars in Tensor",
    ),
    "nan": (
        {"batches": [next(batches()), (NAN, torch.zeros(4, dtype=torch.long))]},
        ValueError,
        "inputs must be finite; got 256 NaN or inf in input 0",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_named_and_nothing_changes(name):
    options, error, message = BAD[name]
    model, optimizer, _ = trained(ADAM)
    before = everything(model, optimizer)
    given = {
        "model": model,
        "batches": batches(),
        "optimizer": optimizer,
        "loss": F.cross_entropy,
        "steps": 5,
    }
    with pytest.raises(error, match=message):
        init.measure_training(**given | options)
    assert_same(before, everything(model, optimizer))


def test_an_error_of_the_model_names_the_layer_and_the_step():
    model = mlp()
    data = [*itertools.islice(batches(), 2), (torch.zeros(4, 63), torch.zeros(4, dtype=torch.long))]
    with pytest.raises(RuntimeError) as raised:
        measured(model, SGD(model.parameters(), lr=0.1), data=data)
    assert "raised at step 2" in raised.value.__notes__
    assert any("raised in '0'" in note for note in raised.value.__notes__)
