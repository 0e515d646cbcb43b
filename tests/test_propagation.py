"""Theory by depth against published numbers, scipy's integrals and random networks."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

import initguide as init


def expect(g, kinks=(0,)):
    """E g(z) for a standard normal, by scipy's adaptive quadrature."""
    return integrate.quad(
        lambda z: g(z) * stats.norm.pdf(z), -12, 12, points=kinks, epsabs=1e-12, limit=500
    )[0]


def test_relu_with_he_keeps_everything():
    he = init.propagate("relu", math.sqrt(2), depth=100)
    assert he.layer.tolist() == list(range(1, 101))
    np.testing.assert_allclose(he.second_moment, 2)
    np.testing.assert_allclose(he.activation, 1)
    np.testing.assert_allclose(he.chi_1, 1)
    np.testing.assert_allclose(he.slope, 1)
    np.testing.assert_allclose(he.gradient, 0.5)


def test_torch_default_and_xavier_under_relu():
    # Variance 1/(3 fan_in) divides the second moment by 6 per layer, 1/fan_in by 2.
    np.testing.assert_allclose(init.propagate("relu", 3**-0.5, depth=20).rms[-1], 6**-10)
    xavier = init.propagate("relu", 1.0, depth=20)
    np.testing.assert_allclose(xavier.rms[-1], 2**-10)
    np.testing.assert_allclose(xavier.gradient_rms[0], 2**-10)


@pytest.mark.parametrize(
    ("sigma_w", "settles", "chi_1"), [(5 / 3, 1.178, 1.21), (1.59254, 1.0, 1.18)]
)
def test_tanh_settles(sigma_w, settles, chi_1):
    tanh = init.propagate("tanh", sigma_w, depth=100)
    assert tanh.second_moment[-1] == pytest.approx(settles, abs=6e-4)
    assert tanh.chi_1[-1] == pytest.approx(chi_1, abs=5e-3)
    assert tanh.slope[-1] < 1 < tanh.chi_1[-1]


def test_tanh_with_gain_one_decays_for_ever():
    tanh = init.propagate("tanh", 1.0, depth=300)
    assert tanh.activation[9] == pytest.approx(0.052, abs=5e-4)
    assert tanh.activation[199] == pytest.approx(0.0025, abs=5e-5)
    assert tanh.second_moment[-1] == pytest.approx(1 / (2 * 300), rel=0.02)
    assert tanh.chi_1[-1] == pytest.approx(1, abs=5e-3)


@pytest.mark.parametrize("q", [0.05, 1.0, 30.0])
@pytest.mark.parametrize(
    ("name", "f", "df"),
    [
        ("tanh", np.tanh, lambda z: 1 - np.tanh(z) ** 2),
        ("softplus", lambda z: np.logaddexp(0, z), lambda z: 1 / (1 + np.exp(-z))),
        ("hardtanh", lambda z: np.clip(z, -1, 1), lambda z: float(abs(z) < 1)),
    ],
)
def test_one_layer_is_the_integral(name, f, df, q):
    sigma_w, sigma_b = 1.3, 0.4
    w, b = sigma_w**2, sigma_b**2
    got = init.propagate(name, sigma_w, sigma_b, depth=2, q0=(q - b) / w if q > b else 0)
    q = got.second_moment[0]
    root = math.sqrt(q)
    kinks = (-1 / root, 0, 1 / root)

    def next_q(q):
        root = math.sqrt(q)
        return w * expect(lambda z: f(root * z) ** 2, (-1 / root, 0, 1 / root)) + b

    assert got.second_moment[1] == pytest.approx(next_q(q), rel=1e-7)
    assert got.chi_1[0] == pytest.approx(w * expect(lambda z: df(root * z) ** 2, kinks), rel=1e-6)
    step = 1e-4 * q
    slope = (next_q(q + step) - next_q(q - step)) / (2 * step)
    assert got.slope[0] == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("c", [-1, -0.9, -0.4, 0, 0.3, 0.5, 0.9, 0.99, 0.9999, 1])
def test_relu_correlation_is_the_arc_cosine_kernel(c):
    # Y. Cho, L. Saul (2009): the kernel of degree one.
    kernel = (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi
    relu = init.propagate("relu", math.sqrt(2), depth=2, c0=c)
    assert relu.correlation[0] == pytest.approx(c)
    assert relu.correlation[1] == pytest.approx(kernel, abs=1e-5)


@pytest.mark.parametrize("c", [-0.6, 0.2, 0.95])
def test_tanh_correlation_is_the_double_integral(c):
    def integrand(y, x):
        density = math.exp(-(x * x - 2 * c * x * y + y * y) / (2 * (1 - c * c)))
        return math.tanh(2 * x) * math.tanh(2 * y) * density / (2 * math.pi * math.sqrt(1 - c * c))

    product = integrate.dblquad(integrand, -7, 7, -7, 7, epsabs=1e-7, epsrel=1e-7)[0]
    got = init.propagate("tanh", 1.0, depth=2, q0=4, c0=c)
    assert got.correlation[1] == pytest.approx(product / got.activation[0], abs=1e-5)


def test_a_random_network_agrees():
    sigma_w, sigma_b, width, depth, draws = 1.4, 0.3, 400, 6, 30
    rng = np.random.default_rng(0)
    base = rng.normal(size=(2, width))
    base /= np.sqrt((base**2).mean(1, keepdims=True))
    base[1] = 0.7 * base[0] + math.sqrt(1 - 0.7**2) * base[1]
    base[1] /= np.sqrt((base[1] ** 2).mean())
    cosine = (base[0] * base[1]).mean()
    moments, products, gradients = np.zeros((3, draws, depth))
    for draw in range(draws):
        h, weights, slopes = base.T, [], []
        for layer in range(depth):
            weights.append(rng.normal(0, sigma_w / math.sqrt(width), (width, width)))
            z = weights[-1] @ h + rng.normal(0, sigma_b, (width, 1))
            moments[draw, layer] = (z**2).mean()
            products[draw, layer] = (z[:, 0] * z[:, 1]).mean()
            h = np.tanh(z)
            slopes.append(1 - h[:, 0] ** 2)
        delta = rng.normal(size=width) * slopes[-1]
        for layer in reversed(range(depth)):
            gradients[draw, layer] = (delta**2).mean()
            if layer:
                delta = slopes[layer - 1] * (weights[layer].T @ delta)
    theory = init.propagate("tanh", sigma_w, sigma_b, depth=depth, c0=cosine)
    for measured, predicted in (
        (moments, theory.second_moment),
        (products, theory.second_moment * theory.correlation),
        (gradients, theory.gradient),
    ):
        error = measured.std(0, ddof=1) / math.sqrt(draws)
        # Four standard errors, and 1 % because the width is 400 and not infinite.
        assert (np.abs(measured.mean(0) - predicted) < 4 * error + 0.01 * predicted).all()


def test_a_linear_network_of_fifty_layers_keeps_two_inputs_at_sixty_degrees():
    kept = init.propagate("linear", 1.0)
    assert kept.layer.tolist() == [*range(1, 51)]
    for values, one in ((kept.second_moment, 1), (kept.correlation, 0.5), (kept.chi_1, 1)):
        np.testing.assert_allclose(values, one, rtol=1e-9)


def test_relu_varies_by_five_depths_over_width():
    """E relu(z)⁴ / (E relu(z)²)² = (3/2) / (1/4) = 6, so that each layer adds 5 / width."""
    he = init.propagate("relu", math.sqrt(2), depth=20)
    np.testing.assert_allclose(he.finite_width_variance, 5 * he.layer)


@pytest.mark.parametrize(
    ("f", "sigma_w", "sigma_b"),
    [(torch.relu, math.sqrt(2), 0.0), (torch.tanh, 1.5, 0.3), (torch.relu, 1.2, 0.5)],
)
def test_finite_networks_vary_as_predicted(f, sigma_w, sigma_b):
    width, depth, draws = 400, 6, 1500
    generator = torch.Generator().manual_seed(0)
    h = torch.ones(draws, width)
    logs = []
    for _ in range(depth):
        # For one input, the pre-activations are normal for any direction of h.
        q = sigma_w**2 * h.square().mean(1, keepdim=True) + sigma_b**2
        h = f(q.sqrt() * torch.randn(draws, width, generator=generator))
        logs.append(h.square().mean(1).log())
    measured = torch.stack(logs).var(1).numpy() * width
    predicted = init.propagate(f, sigma_w, sigma_b, depth).finite_width_variance
    # The relative standard error of a variance is sqrt(2 / draws). 5 % is for the second order.
    np.testing.assert_allclose(measured, predicted, rtol=4 * math.sqrt(2 / draws) + 0.05)


def test_names_modules_and_functions_agree():
    by_name = init.propagate("tanh", 1.5, 0.1, depth=5)
    for same in (torch.tanh, torch.nn.Tanh(), lambda z: 2 / (1 + torch.exp(-2 * z)) - 1):
        for got, want in zip(init.propagate(same, 1.5, 0.1, depth=5), by_name, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-8)


def test_a_numpy_function_has_its_slope_from_differences():
    def f(z):
        return np.maximum(np.asarray(z), 0.1 * np.asarray(z))

    theory = init.propagate(f, 1.0, depth=3)
    np.testing.assert_allclose(theory.chi_1, (1 + 0.01) / 2, rtol=1e-4)


def test_overflow_gives_inf_and_nan():
    wild = init.propagate("relu", 1e40, depth=6)
    assert np.isinf(wild.second_moment[-1])
    assert np.isnan(wild.correlation[-1])
    assert np.isinf(wild.gradient[0])
    with np.errstate(all="raise"):
        assert np.isinf(init.propagate("relu", 1e200, depth=3).second_moment[0])
    dead = init.propagate("relu", 0.0, depth=3)
    assert dead.second_moment.tolist() == [0, 0, 0]


def test_the_default_loses_its_input():
    # Weights and biases have variance 1/(3 fan_in). The biases' signal stays, the input's is lost.
    width = 128
    default = init.propagate("relu", 3**-0.5, (3 * width) ** -0.5, depth=40, c0=0.0)
    shrinkage = default.std[1:] / default.std[:-1]
    np.testing.assert_allclose(shrinkage[-10:], math.sqrt(1 / 6), rtol=1e-3)
    assert default.rms[-1] == pytest.approx(math.sqrt(1 / (3 * width) * 1.2 / 2))
    np.testing.assert_allclose(
        default.variance[:5],
        default.activation[:5]
        - (default.second_moment * default.correlation - (3 * width) ** -1)[1:6] * 3,
        rtol=1e-6,
    )


def test_the_edge_of_chaos():
    assert init.critical("relu").sigma_w == pytest.approx(math.sqrt(2), abs=1e-9)
    assert init.critical("tanh").sigma_w == pytest.approx(1, abs=1e-6)
    assert init.critical("linear").sigma_w == pytest.approx(1, abs=1e-9)
    assert init.critical("relu", q=3.0).slope == pytest.approx(1)
    # The pair that Schoenholz et al. and Xiao et al. (2018) use for tanh.
    edge = init.critical("tanh", sigma_b=math.sqrt(0.05))
    assert edge.sigma_w**2 == pytest.approx(1.76, abs=0.005)


@pytest.mark.parametrize(("name", "sigma_b"), [("tanh", 0.3), ("sigmoid", 0.0), ("elu", 0.2)])
def test_the_edge_is_a_fixed_point_with_chi_one(name, sigma_b):
    edge = init.critical(name, sigma_b)
    q0 = (edge.second_moment - sigma_b**2) / edge.sigma_w**2
    there = init.propagate(name, edge.sigma_w, sigma_b, depth=20, q0=q0)
    np.testing.assert_allclose(there.second_moment, edge.second_moment, rtol=1e-6)
    np.testing.assert_allclose(there.chi_1, 1, rtol=1e-6)
    np.testing.assert_allclose(there.slope, edge.slope, rtol=1e-6)
    again = init.critical(name, q=edge.second_moment)
    assert again.sigma_w == pytest.approx(edge.sigma_w)
    assert again.sigma_b == pytest.approx(sigma_b, abs=1e-4)


def test_the_edge_agrees_with_scipy():
    def conditions(x):
        w, q = x
        df = expect(lambda z: np.cosh(math.sqrt(q) * z) ** -4)
        return w * df - 1, w * expect(lambda z: np.tanh(math.sqrt(q) * z) ** 2) + 0.09 - q

    w, q = optimize.fsolve(conditions, (1.5, 0.5), xtol=1e-12)
    edge = init.critical("tanh", sigma_b=0.3)
    assert (edge.sigma_w**2, edge.second_moment) == pytest.approx((w, q))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relu", -1.0), "sigma_w must be at least 0; got -1.0"),
        (("relu", math.nan), "sigma_w must be finite; got nan"),
        (("relu", 1.0, -0.1), "sigma_b must be at least 0; got -0.1"),
        (("relu", 1.0, 0.0, 0), "depth must be positive; got 0"),
        (("relu", 1.0, 0.0, 5, -1.0), "q0 must be at least 0; got -1.0"),
        (("relu", 1.0, 0.0, 5, 1.0, 1.5), "c0 must be between -1 and 1; got 1.5"),
    ],
)
def test_errors_of_propagate(arguments, message):
    with pytest.raises(ValueError, match=message):
        init.propagate(*arguments)


def test_errors_of_types():
    with pytest.raises(TypeError, match=r"depth must be an integer; got 2\.5"):
        init.propagate("relu", 1.0, depth=2.5)
    with pytest.raises(ValueError, match="got 'rleu'"):
        init.propagate("rleu", 1.0)


def test_errors_of_critical():
    with pytest.raises(ValueError, match="'relu' has none"):
        init.critical("relu", sigma_b=0.3)
    with pytest.raises(ValueError, match=r"q must be positive; got 0\.0"):
        init.critical("tanh", q=0.0)
    with pytest.raises(ValueError, match="not both"):
        init.critical("tanh", 0.1, q=1.0)
    with pytest.raises(ValueError, match="which would need"):
        init.critical("sigmoid", q=0.1)
    with pytest.raises(ValueError, match="non-zero slope"):
        init.critical(lambda z: 0 * z)
