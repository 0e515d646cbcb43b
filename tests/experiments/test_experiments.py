"""The experiments: seeded, honest about divergence, and equal to the plain loop they replace."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.experiments import (
    INITIALIZATIONS,
    Data,
    activations,
    digits,
    each_linear,
    fit,
    fit_all,
    gradients,
    mlp,
    pytorch_default,
    signals_by_depth,
    train,
)
from initguide.experiments.claims.claim import by_seed, per_seed
from initguide.experiments.convolutional import convolutions
from initguide.experiments.descent import curves, descend
from initguide.experiments.loop import picks
from initguide.experiments.residual import residual
from initguide.experiments.transformer import transformer

WIDTHS = (64, 30, 30, 10)


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(autouse=True)
def _global_random_state_stays():
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002 - the legacy state is what must not move
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - as above
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002 - as above


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def same(rows, others):
    """Rows are equal, NaN to NaN."""
    return repr(rows) == repr(others)


def test_digits_are_standardized_and_split_once(data):
    from sklearn.datasets import load_digits

    assert data.x_train.shape == (1400, 64)
    assert data.x_test.shape == (397, 64)
    assert data.x_train.dtype == torch.float32
    assert data.y_test.dtype == torch.int64
    assert data.x_train.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.x_train.square().mean().item() == pytest.approx(1, abs=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(data, digits(), strict=True))
    # Every image is there once: undo the scaling and compare with the source.
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.cat([data.x_train, data.x_test]), torch.cat([data.y_train, data.y_test])
    scale = (pixels.max() - pixels.min()) / (x.max() - x.min()).item()
    restored = ((x - x.min()).double() * scale).round().numpy()
    ours = sorted(map(tuple, np.column_stack([restored, y])))
    assert ours == sorted(map(tuple, np.column_stack([pixels, labels])))


def test_mlp_is_the_network_torch_would_make():
    state = torch.get_rng_state()
    model = mlp(WIDTHS, nn.Tanh, layer_norm=True)
    torch.set_rng_state(state)
    twin = nn.Sequential(
        nn.Linear(64, 30), nn.LayerNorm(30), nn.Tanh(),
        nn.Linear(30, 30), nn.LayerNorm(30), nn.Tanh(),
        nn.Linear(30, 10),
    )  # fmt: skip
    torch.set_rng_state(state)
    assert repr(model) == repr(twin)
    for ours, torchs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, torchs)


@pytest.mark.parametrize("nonlinearity", ["tanh", torch.tanh, nn.Tanh, nn.Tanh()])
def test_mlp_takes_any_activation(nonlinearity):
    x = torch.randn(5, 64, generator=seeded())
    model = mlp(WIDTHS, nonlinearity, generator=seeded(1))
    expected = mlp(WIDTHS, nn.Tanh, generator=seeded(1))(x)
    assert torch.equal(model(x), expected)


def test_mlp_shares_no_activation_between_layers():
    model = mlp(WIDTHS, nn.PReLU(), generator=seeded())
    assert model[1].weight is not model[3].weight


@pytest.mark.parametrize(
    ("name", "std", "bias"),
    [
        # fan_in 300, fan_out 1200; the default's uniform law has std bound / sqrt(3).
        ("PyTorch default", 1 / math.sqrt(900), 1 / math.sqrt(900)),
        ("Xavier", math.sqrt(2 / 1500), 0),
        ("He", math.sqrt(2 / 300), 0),
        ("std 0.01", 0.01, 0),
        ("std 1.0", 1, 0),
    ],
)
def test_initializations(name, std, bias):
    layer = nn.Sequential(nn.utils.skip_init(nn.Linear, 300, 1200), nn.LayerNorm(1200))
    INITIALIZATIONS[name](layer, seeded())
    assert layer[0].weight.std().item() == pytest.approx(std, rel=0.01)
    assert layer[0].bias.std().item() == pytest.approx(bias, rel=0.05)
    assert (layer[1].weight == 1).all()
    first = layer[0].weight.clone()
    INITIALIZATIONS[name](layer, seeded())
    assert torch.equal(layer[0].weight, first)
    INITIALIZATIONS[name](layer, seeded(1))
    assert not torch.equal(layer[0].weight, first)


def test_the_five_keep_their_order():
    assert list(INITIALIZATIONS) == ["PyTorch default", "Xavier", "He", "std 0.01", "std 1.0"]


@pytest.fixture(scope="module")
def deep():
    return signals_by_depth(INITIALIZATIONS, depth=30, width=200, batch=32, seeds=range(3))


def test_signals_follow_the_theory(deep):
    for name, sigma_w in (("He", 2**0.5), ("Xavier", 1.0), ("std 0.01", 0.01 * 200**0.5)):
        theory = init.propagate("relu", sigma_w, depth=30)
        for key, predicted in (("rms", theory.rms), ("gradient_rms", theory.gradient_rms)):
            for layer in (1, 10, 30):
                measured = [
                    row[key] for row in deep
                    if row["initialization"] == name and row["layer"] == layer
                ]  # fmt: skip
                assert len(measured) == 3
                mean = np.exp(np.mean(np.log(measured)))
                # The logarithm of one draw has a spread of about sqrt(5 depth / width) / 2.
                assert abs(math.log(mean / predicted[layer - 1])) < 0.6


def test_the_default_follows_the_theory_over_the_batch(deep):
    theory = init.propagate("relu", 3**-0.5, (3 * 200) ** -0.5, depth=30, c0=0.0)
    for layer in (1, 10, 30):
        measured = [
            row["std"] for row in deep
            if row["initialization"] == "PyTorch default" and row["layer"] == layer
        ]  # fmt: skip
        mean = np.exp(np.mean(np.log(measured)))
        assert abs(math.log(mean / theory.std[layer - 1])) < 0.6


def test_signals_are_those_of_a_plain_loop():
    (row,) = signals_by_depth(
        {"He": INITIALIZATIONS["He"]}, depth=1, width=8, batch=5, nonlinearity="tanh", seeds=[3]
    )
    generator = seeded(3)
    x = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    cotangent = torch.randn(5, 8, generator=generator, dtype=torch.float64)
    layer = nn.utils.skip_init(nn.Linear, 8, 8, dtype=torch.float64)
    pytorch_default(layer, generator)
    INITIALIZATIONS["He"](layer, generator)
    h = (x @ layer.weight.T).tanh().detach()
    assert row["rms"] == pytest.approx((h**2).mean().item() ** 0.5)
    assert row["std"] == pytest.approx(h.var(0).mean().item() ** 0.5)
    gradient = cotangent * (1 - h**2)
    assert row["gradient_rms"] == pytest.approx((gradient**2).mean().item() ** 0.5)


def test_default_biases_hide_that_the_input_is_ignored(deep):
    last = [r for r in deep if r["initialization"] == "PyTorch default" and r["layer"] == 30]
    for row in last:
        assert row["rms"] > 0.01
        assert row["std"] < 1e-10


def test_signals_say_what_overflows():
    huge = {"huge": each_linear(lambda w, generator: init.constant_(w, 1e200))}
    rows = signals_by_depth(huge, depth=4, width=4, batch=4, seeds=[0])
    assert not any(math.isfinite(row["rms"]) for row in rows if row["layer"] > 2)


def test_activations_of_one_layer_by_hand():
    model = mlp([2, 2, 1], generator=seeded())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
        model[0].bias.zero_()
        model[2].weight.fill_(2.0)
        model[2].bias.fill_(1.0)
    hidden, output = activations(model, torch.tensor([[3.0, 4.0], [1.0, -2.0]]))
    assert hidden["values"].tolist() == [[3, 0], [1, 2]]
    assert (hidden["layer"], hidden["mean"], hidden["zeros"]) == (1, 1.5, 0.25)
    assert hidden["std"] == pytest.approx(math.sqrt(1.25))
    assert hidden["rms"] == pytest.approx(math.sqrt(3.5))
    assert output["values"].tolist() == [[7], [7]]
    assert (output["layer"], output["std"]) == (2, 0)


def test_gradients_are_those_of_each_sample(data):
    model = mlp(WIDTHS, generator=seeded())
    x, y = data.x_train[:20], data.y_train[:20]
    rows = gradients(model, x, y)
    scores = model(x)
    expected = scores.softmax(1) - F.one_hot(y, 10)
    np.testing.assert_allclose(rows[-1]["values"], expected.detach(), atol=1e-6)
    hidden = (expected @ model[4].weight).detach()
    np.testing.assert_allclose(rows[-2]["values"], hidden, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("batch", [torch.zeros(3, 5), torch.zeros(3, 64)])
def test_no_hook_stays(batch, data):
    model = mlp(WIDTHS, generator=seeded())
    if batch.shape[1] == 64:
        activations(model, batch)
    else:
        with pytest.raises(RuntimeError):
            activations(model, batch)
    assert not any(layer._forward_pre_hooks for layer in model.modules())


@pytest.mark.parametrize("layer_norm", [False, True])
def test_all_at_once_is_one_by_one(data, layer_norm):
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


def test_convolutions_train_side_by_side_as_alone(data):
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


def test_fit_takes_any_model_and_leaves_its_mode(data):
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


def test_the_seed_decides(data):
    settings = {"widths": WIDTHS, "steps": 10, "data": data}
    he = {"He": INITIALIZATIONS["He"]}
    rows = train(he, seeds=[1], **settings)
    assert same(rows, train(he, seeds=[1], **settings))
    assert not same(rows, train(he, seeds=[2], **settings))
    assert set(rows[0]) == {
        "initialization", "layer_norm", "lr", "seed", "step", "loss", "accuracy",
    }  # fmt: skip


def test_each_epoch_has_every_input_once_in_the_seed_s_order(data):
    seen = []

    class Recorder(nn.Linear):
        def forward(self, x):
            if self.training:
                seen.append((x * torch.arange(64)).sum(1))
            return super().forward(x)

    small = Data(data.x_train[:20], data.y_train[:20], data.x_test, data.y_test)
    for seed in (0, 1):
        model = nn.utils.skip_init(Recorder, 64, 10)
        pytorch_default(model, seeded())
        fit(model, small, steps=4, batch=10, seed=seed)
    epochs = [torch.cat(seen[i : i + 2]) for i in range(0, 8, 2)]
    for i, epoch in enumerate(epochs):
        assert torch.equal(epoch.sort().values, epochs[0].sort().values)
        assert not any(torch.equal(epoch, other) for other in epochs[:i])


def test_divergence_is_said(data):
    wild = each_linear(lambda w, generator: init.constant_(w, 1e30))
    rows = train({"wild": wild}, widths=WIDTHS, steps=30, seeds=[0], data=data)
    model = mlp(WIDTHS, generator=seeded())
    wild(model, None)
    for last in (rows[-1], fit(model, data, steps=30)[-1]):
        assert last["step"] == 30
        assert math.isnan(last["loss"])
        assert math.isnan(last["accuracy"])


def test_a_diverging_run_leaves_the_others_alone(data):
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


@pytest.mark.parametrize(
    ("betas", "warmup"), [(None, None), ((0.9, 0.98), None), ((0.9, 0.98), [1, 3, 9])]
)
def test_models_that_descend_together_do_what_torchs_optimizer_does(betas, warmup):
    x = torch.randn(6, 3, 20, 4, generator=seeded())
    y = torch.randint(5, (6, 3, 20), generator=seeded(1))
    models = [mlp((4, 8, 5), nn.Tanh, generator=seeded(i)) for i in range(3)]
    rates = [0.01, 0.03, 0.1]
    expected = []
    for i, lr in enumerate(rates):
        twin = mlp((4, 8, 5), nn.Tanh, generator=seeded(i))
        parameters = list(twin.parameters())
        optimizer = (
            torch.optim.Adam(parameters, lr, betas) if betas else torch.optim.SGD(parameters, lr)
        )
        for step in range(6):
            optimizer.zero_grad()
            if warmup:
                optimizer.param_groups[0]["lr"] = lr * min((step + 1) / warmup[i], 1)
            loss = F.cross_entropy(twin(x[step, i]), y[step, i])
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
        models.append(twin)
    batches = zip(x, y, strict=True)
    losses = descend(models[:3], batches, F.cross_entropy, lr=rates, betas=betas, warmup=warmup)
    assert losses.T.flatten().tolist() == pytest.approx(expected, rel=1e-4)
    for ours, twin in zip(models[:3], models[3:], strict=True):
        for parameter, other in zip(ours.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(parameter, other, rtol=1e-3, atol=1e-5)


def test_all_runs_diverge_and_the_rest_is_not_computed():
    seen = []

    def batches():
        for step in range(5):
            seen.append(step)
            yield torch.full((2, 3, 4), math.inf), torch.zeros(2, 3, dtype=torch.long)

    models = [mlp((4, 8, 5), generator=seeded(i)) for i in range(2)]
    losses = descend(models, batches(), F.cross_entropy, lr=[0.1, 0.1])
    assert losses.shape == (5, 2)
    assert losses.isnan().all()
    with pytest.raises(ValueError, match="one number for each of 2 models; got 1"):
        descend(models, batches(), F.cross_entropy, lr=[0.1])
    with pytest.raises(ValueError, match=r"the parameters 0\.weight, .*, 2\.bias; got 0\.weight$"):
        descend(models, batches(), F.cross_entropy, lr={"0.weight": [0.1, 0.1]})


def test_each_parameter_descends_at_its_own_rate():
    x, y = torch.randn(1, 20, 4, generator=seeded()), torch.randint(5, (1, 20), generator=seeded(1))
    model, twin = (mlp((4, 8, 5), generator=seeded()) for _ in range(2))
    rates = {"0.weight": 0.1, "0.bias": 0.0, "2.weight": 0.3, "2.bias": 1.0}
    lr = {name: [rate] for name, rate in rates.items()}
    descend([model], [(x, y)], F.cross_entropy, lr=lr)
    F.cross_entropy(twin(x[0]), y[0]).backward()
    for (name, parameter), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter, other - rates[name] * other.grad)


def test_convolutions_keep_what_their_laws_say():
    """Delta-orthogonal kernels: the middle tap is orthogonal, the others are zero."""
    model = convolutions(3, 8, "tanh", init.delta_orthogonal_, generator=seeded())
    kernels = [layer.weight for layer in model if isinstance(layer, nn.Conv2d)]
    assert [tuple(kernel.shape) for kernel in kernels] == [(8, 1, 3, 3), *[(8, 8, 3, 3)] * 3]
    for kernel in kernels[1:]:
        middle = kernel[:, :, 1, 1]
        torch.testing.assert_close(middle @ middle.T, torch.eye(8), atol=1e-5, rtol=0)
        assert kernel.count_nonzero() == middle.count_nonzero()
    # LeCun's variance at a fan_in of 9, over 72 weights.
    assert 0.2 < kernels[0].std().item() < 0.5
    assert model(torch.zeros(2, 64)).shape == (2, 10)


def test_picks_are_draws_of_each_seeds_own():
    one, other = (next(picks(1000, 50, seeds)) for seeds in ([3, 4], [4]))
    assert one.shape == (2, 50)
    assert torch.equal(one[1], other[0])
    assert not torch.equal(one[0], one[1])
    assert 0 <= one.min() <= one.max() < 1000


def test_curves_are_means_of_some_steps():
    losses = torch.tensor([[1.0, 10.0], [3.0, 30.0], [7.0, 70.0]])
    assert curves([{"seed": 4}, {"seed": 5}], losses, every=2) == [
        {"seed": 4, "step": 2, "loss": 2.0},
        {"seed": 4, "step": 3, "loss": 7.0},
        {"seed": 5, "step": 2, "loss": 20.0},
        {"seed": 5, "step": 3, "loss": 70.0},
    ]


def test_a_claims_value_is_the_mean_of_the_rows_that_match():
    rows = [
        {"name": name, "seed": seed, "step": step, "loss": 100.0 * seed + step}
        for name in "ab"
        for seed in (3, 1)
        for step in (10, 20, 30)
    ]
    assert by_seed("loss", name="b", step=20)(rows) == [320, 120]
    assert by_seed("loss", 20, name="a")(rows) == [325, 125]
    assert by_seed("loss", name="a")(rows) == [320, 120]
    # The last steps are those of the rows that count, and a row without the column is none.
    longer = [{"name": "c", "seed": 3, "step": 90, "other": 1.0}]
    assert by_seed("loss", 1, name="a")(rows + longer) == [330, 130]
    assert by_seed("loss", 1)([*rows, *longer]) == [330, 130]
    ratio = per_seed(lambda a, b: a / b, by_seed("loss", step=30), by_seed("loss", step=10))
    assert ratio(rows) == [330 / 310, 130 / 110]


def test_residual_starts_have_the_spreads_of_their_papers():
    """Width 64, 32 blocks, by hand: He sqrt(2/64), Fixup's first that over sqrt(32)."""
    he = 2**0.5 / 8
    expected = {
        "He": (he, he),
        "branch keeps its size": (1 / 8, he),
        "PyTorch default": (3**-0.5 / 8, 3**-0.5 / 8),
        "last / √(2L)": (he, he / 8),
        "last zero": (he, 0),
        "SkipInit": (he, he),
        "Fixup": (he / 32**0.5, 0),
    }
    x = torch.randn(7, 64, generator=seeded())
    for start, spreads in expected.items():
        model = residual(start, 32, 64, generator=seeded(1))
        for layer, spread in zip(("first", "last"), spreads, strict=True):
            values = torch.stack([getattr(block, layer).weight for block in model[1:-1]])
            # 32 * 64 * 64 draws: a standard error of 0.2 %.
            assert values.square().mean().sqrt().item() == pytest.approx(spread, rel=0.01)
        h = x
        for block in model[1:-1]:
            first, last = block.first, block.last
            branch = F.relu(F.linear(h, first.weight, first.bias))
            h = h + (start != "SkipInit") * F.linear(branch, last.weight, last.bias)
        torch.testing.assert_close(model[1:-1](x), h)
    fixup = residual("Fixup", 2, 8, generator=seeded())
    assert (fixup[-1].weight == 0).all()
    with pytest.raises(ValueError, match=r"start must be one of He, .*; got 'Hee'"):
        residual("Hee", 2, 8)
    with pytest.raises(ValueError, match="blocks, width, inputs and outputs must be positive; got"):
        residual("He", 0, 8)


@pytest.mark.parametrize("style", ["post-LN", "pre-LN"])
def test_a_transformers_block_is_torchs_encoder_layer(style):
    model = transformer(style, width=16, depth=2, generator=seeded()).eval()
    block = model.blocks[0]
    twin = nn.TransformerEncoderLayer(
        16, 2, 64, 0.0, batch_first=True, norm_first=style == "pre-LN", device="meta"
    )
    twin.to_empty(device="cpu").eval()
    for norm, torchs in zip(block.norms, (twin.norm1, twin.norm2), strict=True):
        torchs.load_state_dict(norm.state_dict())
    with torch.no_grad():
        packed = torch.cat([block.query.weight, block.key.weight, block.value.weight])
        twin.self_attn.in_proj_weight.copy_(packed)
        twin.self_attn.in_proj_bias.zero_()
        twin.self_attn.out_proj.weight.copy_(block.out.weight)
        twin.self_attn.out_proj.bias.zero_()
        for ours, torchs in ((block.up, twin.linear1), (block.down, twin.linear2)):
            torchs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 7, 16, generator=seeded(1))
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    torch.testing.assert_close(block(x), twin(x, src_mask=mask), rtol=1e-4, atol=1e-5)


def test_deepnorm_scales_what_its_paper_says():
    """16 blocks: alpha 32 ** (1/4), and weights times 128 ** (-1/4)."""
    plain, deep = (
        transformer(style, depth=16, generator=seeded()).blocks[3]
        for style in ("post-LN", "DeepNorm")
    )
    assert deep.alpha == pytest.approx(2.378414)
    assert plain.alpha == 1
    for name in ("value", "out", "up", "down", "query", "key"):
        factor = 0.2973018 if name in ("value", "out", "up", "down") else 1
        ours, expected = getattr(deep, name).weight, getattr(plain, name).weight * factor
        torch.testing.assert_close(ours, expected)
    with pytest.raises(ValueError, match="style must be one of post-LN, pre-LN, DeepNorm; got 'x'"):
        transformer("x")
