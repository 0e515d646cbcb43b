"""Parameters outside torch's layers: weights that the forward scales, noise, state-space layers."""

import math

import pytest
import torch
from models import rms
from plans import rows
from torch import nn
from torch.nn import functional as F

import initguide as init

WIDTH = 256


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# Equalized learning rates: weights of unit scale that the forward multiplies by a constant.


class Scaled(nn.Module):
    """A layer whose forward is a function of the input, the weight and the number of inputs."""

    def __init__(self, forward, into=WIDTH, out=WIDTH, turned=False):
        super().__init__()
        self.w = nn.Parameter(torch.randn((into, out) if turned else (out, into)))
        self.lr_mul, self.into = into**-0.5, into
        self.register_buffer("scale", torch.tensor(into**-0.5))
        self.run = forward

    def forward(self, x):
        return self.run(self, x)


EQUALIZED = {
    "a number": (lambda m, x: F.linear(x, m.w * m.lr_mul), False),
    "a quotient": (lambda m, x: F.linear(x, m.w / math.sqrt(m.into)), False),
    "a buffer": (lambda m, x: x @ (m.scale * m.w).T, False),
    "of the shape": (lambda m, x: x @ m.w.mul(m.w.shape[0] ** -0.5), True),
    "two factors": (lambda m, x: F.linear(x, 4 * m.w.to(x.dtype) * (m.lr_mul / 4)), False),
    "negative": (lambda m, x: F.linear(x, -m.w * m.lr_mul), False),
}


@pytest.mark.parametrize(("forward", "turned"), EQUALIZED.values(), ids=EQUALIZED)
def test_a_factor_of_the_forward_divides_the_std(forward, turned):
    layers = [part for _ in range(8) for part in (Scaled(forward, turned=turned), nn.ReLU())]
    model = nn.Sequential(*layers)
    row = init.initialize_(model, seed=0).rows[0]
    assert row["std"] == pytest.approx(math.sqrt(2), rel=1e-5)
    assert row["note"].endswith("which the forward multiplies by 0.0625")
    with torch.no_grad():
        assert 0.6 < rms(model(normal(64, WIDTH))) < 1.5


def test_an_equalized_convolution():
    class Convolution(nn.Module):
        def __init__(self, into, out):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(out, into, 3, 3))
            self.bias, self.c = nn.Parameter(torch.zeros(out)), (into * 9) ** -0.5

        def forward(self, x):
            return F.conv2d(x, self.weight * self.c, self.bias, padding=1)

    model = nn.Sequential(Convolution(3, 256), nn.LeakyReLU(0.2), Convolution(256, 64))
    plan = rows(model)
    for name, std in (("0.weight", init.gain(nn.LeakyReLU(0.2))), ("2.weight", 1.0)):
        assert plan[name]["std"] == pytest.approx(std, rel=1e-5)
        assert plan[name]["note"].startswith("treated as a convolution's weight, which")


# Noisy layers: the scale of the noise is no weight.


class Noisy(nn.Module):
    def __init__(self, into, out, noise):
        super().__init__()
        self.mu_w, self.sigma_w = (nn.Parameter(torch.ones(out, into)) for _ in range(2))
        self.mu_b, self.sigma_b = (nn.Parameter(torch.ones(out)) for _ in range(2))
        self.register_buffer("eps_in", torch.zeros(into))
        self.register_buffer("eps", torch.randn(out, into))
        self.register_buffer("eps_out", torch.zeros(out))
        self.noise = noise

    def forward(self, x):
        weight, bias = self.noise(self)
        return F.linear(x, self.mu_w + weight, self.mu_b + bias)


NOISES = {
    "a buffer": lambda m: (m.sigma_w * m.eps, m.sigma_b * m.eps_out),
    "factors": lambda m: (m.sigma_w.mul(m.eps_out.outer(m.eps_in)), m.sigma_b.mul(m.eps_out)),
    "fresh": lambda m: (
        m.sigma_w * torch.randn_like(m.sigma_w),
        m.sigma_b * torch.randn(m.sigma_b.shape),
    ),
}


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_the_scale_of_noise_is_small_and_its_mean_is_a_weight(noise):
    model = nn.Sequential(Noisy(400, 256, noise), nn.ReLU(), Noisy(256, 6, noise))
    made = init.initialize_(model, seed=0, keep_deliberate=False)
    plan = {row["parameter"]: row for row in made.rows}
    assert plan["0.mu_w"]["std"] == pytest.approx(math.sqrt(2 / 400))
    assert plan["2.mu_w"]["std"] == pytest.approx(1 / 16)
    first, second = model[0], model[2]
    torch.testing.assert_close(first.sigma_w.detach(), torch.full((256, 400), 0.5 / 20))
    torch.testing.assert_close(second.sigma_w.detach(), torch.full((6, 256), 0.5 / 16))
    assert not first.mu_b.any()
    assert 0 < first.sigma_b.max() < 0.2
    # A weight and its noise: a variance of 2 + 1/4 in the hidden layer.
    first.eps.normal_(generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert 0.9 < rms(torch.relu(first(normal(200, 400)))) < 1.25


def test_noise_that_is_not_understood_is_refused_by_name():
    class Bayesian(Noisy):
        def forward(self, x):
            scale = torch.log1p(torch.exp(self.sigma_w))
            return F.linear(x, self.mu_w + scale * self.eps, self.mu_b + self.sigma_b)

    with pytest.raises(ValueError, match=r"got none for sigma_w: .*uses it in exp"):
        init.plan(Bayesian(256, 256, None), keep_deliberate=False)


def test_a_masked_weight_is_a_weight():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Parameter(torch.zeros(300, 256))
            self.register_buffer("mask", torch.ones(300, 256).tril())

        def forward(self, x):
            return torch.relu(F.linear(x, self.kernel * self.mask))

    row = rows(Masked())["kernel"]
    assert (row["before"], row["fan_in"]) == ("relu", 256)


# Convolutions by function.

TRANSPOSED = {
    "stride": (lambda x, w: F.conv_transpose2d(x, w, stride=2), {"stride": 2}),
    "position": (lambda x, w: F.conv_transpose2d(x, w, None, (2, 4)), {"stride": (2, 4)}),
    "groups": (
        lambda x, w: F.conv_transpose2d(x, w, None, 2, 1, 0, 2),
        {"stride": 2, "groups": 2},
    ),
}


@pytest.mark.parametrize(("call", "options"), TRANSPOSED.values(), ids=TRANSPOSED)
@pytest.mark.parametrize("sizes", [(256, 64), (64, 256)])
def test_a_transposed_convolution_by_function_is_planned_as_the_module(call, options, sizes):
    into, out = sizes
    module = nn.ConvTranspose2d(into, out, 4, bias=False, **options)

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = nn.Parameter(module.weight.detach().clone())

        def forward(self, x):
            return torch.relu(call(x, self.kernel))

    row = rows(Functional())["kernel"]
    assert row["fan_in"] == init.layer_fans(module).fan_in
    assert row["std"] == pytest.approx(math.sqrt(2 / row["fan_in"]), rel=1e-4)
    assert row["note"] == "treated as a convolution's weight"


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_by_function_has_the_fans_of_the_module(stride):
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(96, 64, 5))

        def forward(self, x):
            return F.conv1d(x, self.w, stride=stride, groups=4)

    row = rows(Functional(), "xavier")["w"]
    want = init.layer_fans(nn.Conv1d(256, 96, 5, stride=stride, groups=4))
    assert row["std"] == pytest.approx(math.sqrt(2 / sum(want)))


def test_parameters_that_are_kept_show_no_fans():
    model = nn.Sequential(Scaled(EQUALIZED["a number"][0]), nn.Linear(WIDTH, 8))
    for row in init.plan(model, "keep").rows:
        assert row["fan_in"] is None


# State-space layers.


class StateSpace(nn.Module):
    """A selective scan with a step per channel, and a decay per channel and state."""

    def __init__(self, width=WIDTH, states=16, own_bias=False):
        super().__init__()
        self.norm, self.into = nn.LayerNorm(width), nn.Linear(width, 2 * width)
        self.select, self.out = nn.Linear(width, 2 * states), nn.Linear(width, width)
        self.step = nn.Linear(width, width, bias=not own_bias)
        self.step_shift = nn.Parameter(torch.zeros(width)) if own_bias else None
        self.log_rates = nn.Parameter(torch.zeros(width, states))
        self.direct = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        u, z = self.into(self.norm(x)).chunk(2, -1)
        u = F.silu(u)
        b, c = self.select(u).chunk(2, -1)
        step = self.step(u) if self.step_shift is None else self.step(u) + self.step_shift
        dt = F.softplus(step)
        rates = -torch.exp(self.log_rates.float())
        state, seen = torch.zeros_like(rates), []
        for t in range(8):
            decay = torch.exp(dt[:, t, :, None] * rates)
            state = decay * state + (dt[:, t] * u[:, t])[..., None] * b[:, t, None]
            seen.append((state * c[:, t, None]).sum(-1))
        y = torch.stack(seen, 1) + u * self.direct
        return x + self.out(y * F.silu(z))


class Heads(nn.Module):
    """A gated delta rule's decay: one per head."""

    def __init__(self, heads=32):
        super().__init__()
        self.a = nn.Linear(WIDTH, heads)
        self.dt_bias = nn.Parameter(torch.ones(heads))
        self.A_log = nn.Parameter(torch.zeros(heads))
        self.out = nn.Linear(heads, WIDTH)

    def forward(self, x):
        g = -self.A_log.float().exp() * F.softplus(self.a(x).float() + self.dt_bias)
        return self.out(g.exp())


def in_steps(values):
    """Whether values are spread over the logarithms of the steps from 0.001 to 0.1."""
    logs = F.softplus(values.detach().double()).log10()
    return logs.min() > -3.01 and logs.max() < -0.99 and 0.4 < logs.std() < 0.75


@pytest.mark.parametrize("own_bias", [True, False])
@pytest.mark.parametrize("states", [16, 64])
def test_a_state_space_layer_starts_as_published(own_bias, states):
    model = StateSpace(states=states, own_bias=own_bias)
    made = init.initialize_(model, seed=0, keep_deliberate=False)
    plan = {row["parameter"]: row for row in made.rows}
    bias = model.step_shift if own_bias else model.step.bias
    assert in_steps(bias)
    assert "the bias of a step size" in plan["step_shift" if own_bias else "step.bias"]["note"]
    want = torch.arange(1, states + 1).log().expand(WIDTH, states)
    torch.testing.assert_close(model.log_rates.detach(), want)
    assert (model.direct == 1).all()
    x = normal(4, 8, WIDTH)
    with torch.no_grad():
        assert 1 < rms(model(x)) < 2


def test_the_stream_over_24_state_space_layers_grows_at_most_twice():
    model = nn.Sequential(*[StateSpace(own_bias=bool(i % 2)) for i in range(24)])
    init.initialize_(model, seed=0)
    x = normal(4, 8, WIDTH)
    with torch.no_grad():
        assert 1.05 < rms(model(x)) / rms(x) < 2


@pytest.mark.parametrize("heads", [32, 200])
def test_a_decay_per_head_is_uniform(heads):
    model = Heads(heads)
    init.initialize_(model, seed=0, keep_deliberate=False)
    rates = model.A_log.detach().exp()
    assert in_steps(model.dt_bias)
    assert 1 <= rates.min() < 3
    assert 14 < rates.max() <= 16
    # The mean of a uniform distribution on [1, 16], with four standard errors.
    assert rates.mean().item() == pytest.approx(8.5, abs=4 * 15 / math.sqrt(12 * heads))


def test_a_logarithm_of_a_step_beside_a_decay():
    class Diagonal(nn.Module):
        def __init__(self, width=WIDTH, states=32):
            super().__init__()
            self.log_dt = nn.Parameter(torch.zeros(width, 1))
            self.log_real = nn.Parameter(torch.zeros(width, states))
            self.out = nn.Linear(states, 4)

        def forward(self, x):
            dt = torch.exp(self.log_dt)
            rates = -torch.exp(self.log_real)
            return self.out(torch.exp(x.unsqueeze(-1) * (rates * dt)))

    model = Diagonal()
    init.initialize_(model, seed=0)
    steps = model.log_dt.detach().exp()
    assert 0.001 <= steps.min() < 0.0015
    assert 0.07 < steps.max() <= 0.1
    assert (model.log_real[0].exp() - torch.arange(1, 33)).abs().max() < 1e-4


def test_a_decay_of_each_channel_is_kept():
    # As in the recurrence of Griffin.
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate, self.decay = nn.Linear(WIDTH, WIDTH), nn.Parameter(normal(WIDTH))

        def forward(self, x):
            return x * torch.exp(-8.0 * torch.sigmoid(self.gate(x)) * F.softplus(self.decay))

    model = Gated()
    init.initialize_(model, seed=0)
    assert torch.equal(model.decay, normal(WIDTH))


def test_a_decay_that_no_step_multiplies_is_refused_by_name():
    class Decaying(nn.Module):
        def __init__(self):
            super().__init__()
            self.time_decay, self.a = nn.Parameter(torch.zeros(256)), nn.Linear(256, 256)

        def forward(self, x):
            return torch.maximum(self.a(x), x - torch.exp(self.time_decay))

    with pytest.raises(ValueError, match="got none for time_decay"):
        init.plan(Decaying())


# Vectors that join the input, and scales that are kept.


class Joins(nn.Module):
    def __init__(self, join, *shape):
        super().__init__()
        self.extra = nn.Parameter(torch.zeros(shape or (1, 1, WIDTH)))
        self.norm, self.a = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH)
        self.cell, self.join = nn.GRUCell(WIDTH, WIDTH), join

    def forward(self, x, mask=None):
        return self.a(self.join(self, x, mask))


JOINS = {
    "a mask token": (
        lambda m, x, mask: x if mask is None else torch.where(mask[..., None], m.extra, x),
        (),
    ),
    "a mask token by products": (
        lambda m, x, mask: x * (1.0 - mask) + m.extra * mask if mask is not None else x,
        (),
    ),
    "masked places by products": (
        lambda m, x, mask: (
            m.extra.expand(2, 9, -1) * mask[..., None] + x * (1 - mask[..., None])
            if mask is not None
            else x
        ),
        (1, 1, WIDTH),
    ),
    "a class token": (lambda m, x, mask: torch.cat([m.extra.expand(2, -1, -1), x], 1), ()),
    "latents": (lambda m, x, mask: m.norm(m.extra).expand(2, -1, -1) + x.mean(1, True), (9, WIDTH)),
    "queries": (
        lambda m, x, mask: F.scaled_dot_product_attention(m.extra.expand(2, -1, -1), x, x),
        (1, 5, WIDTH),
    ),
    "an initial state": (
        lambda m, x, mask: m.cell(x[:, 0], m.extra.expand(2, -1)),
        (1, WIDTH),
    ),
}


@pytest.mark.parametrize(("join", "shape"), JOINS.values(), ids=JOINS)
def test_vectors_that_join_the_input_are_tables(join, shape):
    row = rows(Joins(join, *shape))["extra"]
    assert (row["law"], row["std"]) == ("truncated_normal_", pytest.approx(0.02))
    assert row["note"] == "treated as a table of vectors"


@pytest.mark.parametrize("shape", [(), (1,)])
@pytest.mark.parametrize(
    "use",
    [
        lambda s, y: s.exp() * y,
        lambda s, y: y * s.clamp(max=4.6).exp(),
        lambda s, y: torch.exp(s).to(y.dtype) * y,
    ],
)
def test_the_logarithm_of_a_scale_is_kept(shape, use):
    class Contrast(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(WIDTH, WIDTH)
            self.temperature = nn.Parameter(torch.full(shape, math.log(1 / 0.07)))

        def forward(self, x):
            y = F.normalize(self.a(x), dim=-1)
            return use(self.temperature, y @ y.T)

    model = Contrast()
    row = {r["parameter"]: r for r in init.initialize_(model, seed=0).rows}["temperature"]
    assert row["note"] == "treated as a scale that keeps its value"
    assert model.temperature.item() == pytest.approx(math.log(1 / 0.07))


# Einstein sums.

SUMS = {
    "btd,dhk->bthk": ((WIDTH, 4, 64), WIDTH),
    "bthk,hkd->btd": ((4, 64, 300), WIDTH),
    "btd,vd->btv": ((500, WIDTH), WIDTH),
    "bti, io -> bto": ((WIDTH, 500), WIDTH),
    "becd,edf->becf": ((4, WIDTH, 500), WIDTH),
}


@pytest.mark.parametrize(("equation", "shape", "fan"), [(e, *s) for e, s in SUMS.items()])
def test_the_fan_of_an_einstein_sum_is_what_it_sums_over(equation, shape, fan):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.zeros(shape))

        def forward(self, x):
            return torch.einsum(equation, x, self.w)

    model = Sum()
    row = init.initialize_(model, seed=0).rows[0]
    assert row["fan_in"] == fan
    sizes = dict(zip(equation.replace(" ", "").split(",")[1].split("->")[0], shape, strict=True))
    x = normal(*(sizes.get(letter, 7) for letter in equation.split(",")[0]))
    with torch.no_grad():
        assert rms(model(x)) == pytest.approx(1, abs=0.1)


AFFINES = {
    "scale first": lambda m, x: torch.addcmul(m.move, m.size, x),
    "signal first": lambda m, x: torch.addcmul(m.move, x, m.size),
    "by division": lambda m, x: m.move.addcdiv(x, m.size),
}


@pytest.mark.parametrize("affine", AFFINES.values(), ids=AFFINES)
@pytest.mark.parametrize("shape", [(WIDTH,), (1, 1, 300)])
def test_a_scale_and_a_shift_in_one_operation(affine, shape):
    class Affine(nn.Module):
        def __init__(self):
            super().__init__()
            self.size, self.move = (nn.Parameter(torch.randn(shape)) for _ in range(2))

        def forward(self, x):
            return affine(self, x)

    model = nn.Sequential(Affine(), nn.Linear(shape[-1], 10))
    init.initialize_(model, seed=0, keep_deliberate=False)
    assert (model[0].size == 1).all()
    assert not model[0].move.any()


@pytest.mark.parametrize(
    ("shape", "dims", "fan_in"),
    [((8, 5), 1, 8), ((5, 8), ([-1], [-1]), 8), ((8, 5), ([1], [0]), 8), ((4, 8, 5), 2, 32)],
)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_tensordot_sums_over_its_axes(shape, dims, fan_in, transposed):
    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            weight = torch.randn(shape)
            self.own = nn.Parameter(weight.mT if transposed else weight)

        def forward(self, x):
            return torch.tensordot(x, self.own.mT if transposed else self.own, dims=dims)

    (row,) = init.plan(Product()).rows
    assert row["fan_in"] == fan_in


def test_a_tensordot_over_nothing_is_refused_by_name():
    class Empty(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = nn.Parameter(torch.randn(0, 5))

        def forward(self, x):
            return torch.tensordot(x, self.own, dims=1)

    with pytest.raises(ValueError, match="got none for own"):
        init.plan(Empty())
