"""`measure_training` changes nothing, takes any batch, and names bad input."""

# Models may draw from NumPy's legacy global state, which must be as before.
# ruff: noqa: NPY002

import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from measured_training import ADAM, DATA, SGD, batches, found, measured, mlp
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import initguide as init
from initguide._state import seed_global_states

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
