"""Training: seeded, equal to a plain loop, and divergence is visible in the rows."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.experiments import (
    INITIALIZATIONS,
    Data,
    each_linear,
    fit,
    fit_all,
    mlp,
    signals_by_depth,
    train,
)

pytestmark = pytest.mark.usefixtures("random_states_kept")

WIDTHS = (64, 30, 30, 10)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def same(rows, others):
    """Return whether the rows are equal; nan equals nan."""
    return repr(rows) == repr(others)


@pytest.mark.parametrize("layer_norm", [False, True])
def test_train_equals_fit_of_each_network(data, layer_norm):
    chosen = {name: INITIALIZATIONS[name] for name in ("He", "std 0.01")}
    rows = train(
        chosen, widths=WIDTHS, layer_norm=layer_norm, steps=45, every=20, seeds=[0, 5], data=data
    )
    assert [row["step"] for row in rows[:4]] == [0, 20, 40, 45]
    for name, initialize_ in chosen.items():
        for seed in (0, 5):
            generator = seeded(seed)
            model = mlp(WIDTHS, layer_norm=layer_norm, generator=generator)
            initialize_(model, generator)
            alone = fit(model, data, steps=45, every=20, seed=seed)
            ours = [r for r in rows if (r["initialization"], r["seed"]) == (name, seed)]
            for one, other in zip(ours, alone, strict=True):
                assert one["step"] == other["step"]
                assert one["loss"] == pytest.approx(other["loss"], rel=2e-3)
                assert one["accuracy"] == pytest.approx(other["accuracy"], abs=0.006)


def test_fit_all_equals_fit_of_each_convolutional_network(data):
    def network(seed):
        layers = nn.utils.skip_init(nn.Conv2d, 1, 3, 3), nn.utils.skip_init(nn.Linear, 108, 10)
        model = nn.Sequential(
            nn.Unflatten(1, (1, 8, 8)), layers[0], nn.Tanh(), nn.Flatten(), layers[1]
        )
        for parameter in model.parameters():
            init.normal_(parameter, std=0.1, generator=seeded(seed))
        return model

    models = [network(seed) for seed in (3, 4)]
    before = [copy.deepcopy(model.state_dict()) for model in models]
    curves = fit_all(models, data, steps=25, every=20, seeds=[1, 2])
    for model, state, seed, rows in zip(models, before, (1, 2), curves, strict=True):
        assert all(torch.equal(model.state_dict()[key], state[key]) for key in state)
        alone = fit(model, data, steps=25, every=20, seed=seed)
        assert [row["step"] for row in rows] == [0, 20, 25]
        for one, other in zip(rows, alone, strict=True):
            assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)
            assert one["accuracy"] == pytest.approx(other["accuracy"], abs=0.003)


def test_training_is_on_the_given_data_and_on_digits_by_default(data):
    x, y = torch.randn(30, 3, generator=seeded()), torch.arange(30) % 2
    own = Data(x[:20], y[:20], x[20:], y[20:])
    settings = {"steps": 1, "batch": 20, "every": 1}
    for given, widths, options in ((own, (3, 2), {"data": own}), (data, (64, 10), {})):
        order = torch.randperm(len(given.x_train), generator=seeded(4))[:20]
        model = mlp(widths, generator=seeded())
        scores = model(given.x_train[order])
        first = F.cross_entropy(scores, given.y_train[order]).item()
        right = (model(given.x_test).argmax(1) == given.y_test).double().mean().item()
        (curve,) = fit_all([model], seeds=[4], **settings, **options)
        alone = fit(copy.deepcopy(model), seed=4, **settings, **options)
        kept = {"kept": lambda other, _, one=model: other.load_state_dict(one.state_dict())}
        rows = train(kept, widths=widths, seeds=[4], **settings, **options)
        for start, end in (curve, alone, rows):
            assert start["loss"] == end["loss"] == pytest.approx(first, rel=1e-5)
            assert start["accuracy"] == pytest.approx(right)
            assert (start["step"], end["step"]) == (0, 1)


def test_fit_is_plain_gradient_descent(data):
    model = mlp(WIDTHS, generator=seeded())
    twin = mlp(WIDTHS, generator=seeded())
    everything = Data(data.x_train[:50], data.y_train[:50], data.x_test, data.y_test)
    rows = fit(model, everything, lr=0.3, steps=2, every=1)
    losses = []
    for _ in range(2):
        loss = F.cross_entropy(twin(everything.x_train), everything.y_train)
        losses.append(loss.item())
        slopes = torch.autograd.grad(loss, list(twin.parameters()))
        with torch.no_grad():
            for parameter, slope in zip(twin.parameters(), slopes, strict=True):
                parameter -= 0.3 * slope
    assert [row["loss"] for row in rows] == pytest.approx([losses[0], *losses], rel=1e-5)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    right = (twin(data.x_test).argmax(1) == data.y_test).double().mean().item()
    assert rows[-1]["accuracy"] == pytest.approx(right)


def test_fit_takes_any_model_and_restores_its_mode(data):
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = mlp([64, 10], generator=seeded()), mlp([64, 10], generator=seeded(1))
            self.drop = nn.Dropout(0.0)
            self.modes = []

        def forward(self, x):
            self.modes.append((len(x), self.training))
            return self.drop(self.a(x)) * self.b(x).sigmoid()

    model = Gated()
    rows = fit(model, data, steps=60)
    assert rows[-1]["accuracy"] > 0.7
    assert model.training
    assert set(model.modes) == {(50, True), (397, False)}


def test_the_seed_decides_the_rows(data):
    settings = {"widths": WIDTHS, "steps": 10, "data": data}
    he = {"He": INITIALIZATIONS["He"]}
    rows = train(he, seeds=[1], **settings)
    assert same(rows, train(he, seeds=[1], **settings))
    assert not same(rows, train(he, seeds=[2], **settings))
    assert set(rows[0]) == {
        "initialization", "layer_norm", "lr", "seed", "step", "loss", "accuracy",
    }  # fmt: skip


def test_training_without_settings_has_those_of_the_documentation(data):
    he, by_hand = {"He": INITIALIZATIONS["He"]}, (64, 100, 100, 100, 10)
    rows = train(he, steps=1, data=data)
    assert same(rows, train(he, steps=1, widths=by_hand, seeds=range(3), data=data))
    assert not same(rows, train(he, nonlinearity=nn.Tanh, steps=1, data=data))
    alone, twin = (mlp(WIDTHS, generator=seeded()) for _ in range(2))
    assert same(fit(alone, data, steps=1), fit(twin, data, steps=1, seed=0))


def test_a_run_that_diverges_has_nan_in_its_rows(data):
    wild = each_linear(lambda w, generator: init.constant_(w, 1e30))
    rows = train({"wild": wild}, widths=WIDTHS, steps=30, seeds=[0], data=data)
    model = mlp(WIDTHS, generator=seeded())
    wild(model, None)
    for last in (rows[-1], fit(model, data, steps=30)[-1]):
        assert last["step"] == 30
        assert math.isnan(last["loss"])
        assert math.isnan(last["accuracy"])


def test_a_run_that_diverges_does_not_change_other_runs(data):
    settings = {"widths": WIDTHS, "steps": 40, "seeds": [0], "data": data}
    he, wild = INITIALIZATIONS["He"], each_linear(lambda w, generator: init.constant_(w, 1e30))
    alone = train({"He": he}, **settings)
    together = train({"wild": wild, "He": he}, **settings)[len(alone) :]
    assert [row["loss"] for row in together] == pytest.approx(
        [row["loss"] for row in alone], rel=1e-3
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": 0.0}, "lr must be positive; got 0.0"),
        ({"lr": math.nan}, "lr must be finite; got nan"),
        ({"steps": 0}, "steps, batch and every must be positive; got 0, 50 and 10"),
        ({"every": 0}, "steps, batch and every must be positive; got 300, 50 and 0"),
        ({"batch": 2000}, "batch must be at most the 1400 inputs; got 2000"),
    ],
)
def test_errors_of_training(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        train(INITIALIZATIONS, data=data, **arguments)
    model = mlp(WIDTHS, generator=seeded())
    before = [parameter.clone() for parameter in model.parameters()]
    with pytest.raises(ValueError, match=message):
        fit(model, data, **arguments)
    assert all(map(torch.equal, before, model.parameters()))
    with pytest.raises(ValueError, match=message):
        fit_all([model], data, seeds=[0], **arguments)


def test_other_errors(data):
    with pytest.raises(ValueError, match="seeds must be one for each of 1 models; got 2"):
        fit_all([mlp(WIDTHS, generator=seeded())], data, seeds=[0, 1])
    with pytest.raises(ValueError, match="64 features and end with the 10 classes"):
        train(INITIALIZATIONS, widths=(64, 5), data=data)
    with pytest.raises(ValueError, match=r"widths must be at least two positive sizes; got \(64,"):
        mlp([64])
    with pytest.raises(ValueError, match="depth, width and batch must be positive; got 0"):
        signals_by_depth(INITIALIZATIONS, depth=0)
    with pytest.raises(ValueError, match=r"nonlinearity must be one of .*; got 'rleu'"):
        mlp(WIDTHS, "rleu")
    with pytest.raises(TypeError, match="nonlinearity must be a name or a callable; got 3"):
        mlp(WIDTHS, 3)
