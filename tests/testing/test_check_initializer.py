"""check_initializer names the fault of a wrong initializer, and finds none in a right one."""

# The legacy global state is what a wrong one draws from, and what must not move.
# ruff: noqa: NPY002

import os

os.environ["KERAS_BACKEND"] = "jax"

import dataclasses
import functools
import math
import random
from pathlib import Path

import jax
import keras
import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

import initguide as init

partial = functools.partial


def matrix_fans(shape):
    """Return fan_in and fan_out of a shape (*kernel, in, out)."""
    places = math.prod(shape[:-2])
    return shape[-2] * places, shape[-1] * places


def tensor_fans(tensor):
    places = math.prod(tensor.shape[2:])
    return tensor.shape[1] * places, tensor.shape[0] * places


# Initializers from one number, as most are written: the std, or the bound, from the fans.


def arrays(std, law="normal"):
    """Return an initializer of arrays from a std that is a function of the fans."""

    def draw(shape, rng=None):
        rng = np.random.default_rng(rng)
        s = std(*matrix_fans(shape))
        if law == "truncated":
            return s * scipy.stats.truncnorm(-2, 2).rvs(shape, random_state=rng)
        return rng.normal(0, s, shape) if law == "normal" else rng.uniform(-s, s, shape)

    return draw


def tensors(std, law="normal"):
    """Return one of tensors."""

    def fill_(tensor, generator=None):
        s = std(*tensor_fans(tensor))
        with torch.no_grad():
            if law == "normal":
                return tensor.normal_(0, s, generator=generator)
            return tensor.uniform_(-s, s, generator=generator)

    return fill_


def of_array(change):
    """Return a standard normal array, changed."""
    return lambda shape, rng: change(rng.normal(size=shape), rng)


def filled(change):
    """Return an initializer that copies a function of a standard normal tensor into its own."""

    def fill_(tensor, generator=None):
        drawn = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        with torch.no_grad():
            return tensor.copy_(change(drawn))

    return fill_


def he(change):
    """Return He's values, changed."""
    return filled(lambda x: change(x * math.sqrt(2 / tensor_fans(x)[0])))


def ignores_generator_(tensor, generator=None):
    return init.kaiming_normal_(tensor)


def fixed_seed_(tensor, generator=None):
    return init.kaiming_normal_(tensor, generator=torch.Generator().manual_seed(0))


def seeds_globally_(tensor, generator):
    torch.manual_seed(generator.initial_seed())
    return init.kaiming_normal_(tensor)


def restarts_(tensor, generator):
    """Seed anew from the generator's seed, so that its second call repeats the first."""
    mine = torch.Generator().manual_seed(generator.initial_seed())
    return init.kaiming_normal_(tensor, generator=mine)


def breaks_a_leaf_(tensor, generator=None):
    tensor.normal_(0, math.sqrt(2 / tensor_fans(tensor)[0]), generator=generator)
    return tensor


def requires_no_more_(tensor, generator=None):
    tensor.requires_grad_(False)
    return init.kaiming_normal_(tensor, generator=generator)


def returns_none_(tensor, generator=None):
    init.kaiming_normal_(tensor, generator=generator)


def returns_a_copy_(tensor, generator=None):
    return init.kaiming_normal_(tensor.clone(), generator=generator)


def replaces_data_(tensor, generator=None):
    tensor.data = torch.randn(tensor.shape, generator=generator) * math.sqrt(
        2 / tensor_fans(tensor)[0]
    )
    return tensor


def forgets_a_row_(tensor, generator=None):
    init.kaiming_normal_(tensor[1:], generator=generator)
    return tensor


def returns_a_number_(tensor, generator=None):
    return init.kaiming_normal_(tensor, generator=generator).std().item()


def returns_a_line_(tensor, generator=None):
    return init.kaiming_normal_(tensor, generator=generator).flatten()


def turns_(tensor, generator=None):
    tensor.data = init.kaiming_normal_(tensor.data.transpose(0, 1), generator=generator)
    return tensor


def float32_alone_(tensor, generator=None):
    init.kaiming_normal_(tensor, generator=generator)
    with torch.no_grad():
        return tensor.copy_((torch.eye(len(tensor)) @ tensor.flatten(1)).view_as(tensor))


def clones_(tensor, generator=None):
    with torch.no_grad():
        row = init.kaiming_normal_(tensor.clone(), generator=generator)[:1]
        return tensor.copy_(row.expand_as(tensor))


def one_value_(tensor, generator=None):
    with torch.no_grad():
        value = torch.randn((), generator=generator)
        return tensor.copy_(value.expand_as(tensor))


def uncut_(tensor, std=0.02, generator=None):
    return nn.init.trunc_normal_(tensor, std=std, generator=generator)


def no_signs(shape, rng):
    """QR as NumPy gives it: the diagonal of R is negative."""
    n, k = math.prod(shape[:-1]), shape[-1]
    q = np.linalg.qr(rng.normal(size=(max(n, k), min(n, k)))).Q
    return (q if n >= k else q.T).reshape(shape)


def no_signs_(tensor, generator=None):
    rows, columns = len(tensor), tensor[0].numel()
    x = torch.randn(max(rows, columns), min(rows, columns), generator=generator).to(tensor.dtype)
    q = torch.linalg.qr(x).Q
    with torch.no_grad():
        return tensor.copy_((q if rows >= columns else q.T).reshape(tensor.shape))


def rotations(shape, rng):
    """A signed permutation: orthogonal, and far from uniformly distributed."""
    n, k = math.prod(shape[:-1]), shape[-1]
    q = np.diag(rng.choice([-1.0, 1.0], max(n, k)))[rng.permutation(max(n, k))]
    return q[:n, :k].reshape(shape)


def shifts(shape, rng):
    """A signed shift, whose diagonal is zero."""
    n, k = math.prod(shape[:-1]), shape[-1]
    q = np.roll(np.diag(rng.choice([-1.0, 1.0], max(n, k))), 1, axis=0)
    return q[:n, :k].reshape(shape)


def by_shape_(tensor, generator=None):
    """Orthogonal, with a gain that is another at each shape."""
    gain = math.sqrt(max(1, len(tensor) / tensor[0].numel()))
    return init.orthogonal_(tensor, gain=gain, generator=generator)


def flattened_wrongly_(tensor, generator=None):
    """Orthonormal as (out * kernel, in), where (out, in * kernel) is meant."""
    with torch.no_grad():
        moved = torch.empty_like(tensor.transpose(0, 1).contiguous())
        init.orthogonal_(moved, generator=generator)
        return tensor.copy_(moved.transpose(0, 1))


def tall_alone_(tensor, generator=None):
    """Orthonormal columns where there are fewer of them; otherwise only unit ones."""
    if len(tensor) >= tensor[0].numel():
        return init.orthogonal_(tensor, generator=generator)
    return filled(lambda x: x / x.norm(dim=0))(tensor, generator)


def torch_order(shape, rng):
    """Orthogonal as torch would flatten it, in the layout of Keras."""
    return init.orthogonal(shape, layout="out_in", rng=rng)


def corner_(tensor):
    """The kernel's first place instead of its centre."""
    with torch.no_grad():
        tensor.zero_()
        for i in range(min(tensor.shape[:2])):
            tensor[(i, i, *[0] * (tensor.ndim - 2))] = 1
    return tensor


def tiled_(tensor, generator=None):
    """ICNR with the copies behind each other, not side by side."""
    with torch.no_grad():
        drawn = init.kaiming_normal_(tensor[: len(tensor) // 4].clone(), generator=generator)
        return tensor.copy_(torch.cat([drawn] * 4))


def swapped_below_(tensor, generator=None):
    """ICNR with the fan_out of the whole for its fan_in."""
    std = (2 / tensor_fans(tensor)[1]) ** 0.5
    return init.icnr_(tensor, init_=partial(init.normal_, std=std), generator=generator)


def dropped(shape, rng, share=0.1):
    return rng.normal(0, 0.01, shape) * (rng.random(shape) < share)


# Each: the function, what it is to be like, and the first fault that must be named.
WRONG = {
    "fans swapped": (tensors(lambda i, o: (2 / o) ** 0.5), "kaiming_normal_", "fans swapped"),
    "fans swapped, NumPy": (arrays(lambda i, o: (2 / o) ** 0.5), "kaiming_normal", "fans swapped"),
    "layout": (
        lambda shape, rng: init.kaiming_normal(shape, layout="out_in", rng=rng),
        "kaiming_normal",
        "wrong layout",
    ),
    "layout, Xavier": (
        lambda shape, rng: init.xavier_uniform(shape, layout="out_in", rng=rng),
        "xavier_uniform",
        "wrong layout",
    ),
    "gain missing": (tensors(lambda i, o: i**-0.5), "kaiming_normal_", "gain missing"),
    "gain missing, tanh": (
        init.xavier_normal_,
        partial(init.xavier_normal_, gain=5 / 3),
        "gain missing",
    ),
    "gain twice": (arrays(lambda i, o: 2 / i**0.5), "kaiming_normal", "gain squared"),
    "gain under the root": (
        arrays(lambda i, o: (2**0.5 / i) ** 0.5),
        "kaiming_normal",
        "gain under the root",
    ),
    "a gain too many": (tensors(lambda i, o: (2 / i) ** 0.5), "lecun_normal_", "gain wrong"),
    "variance": (tensors(lambda i, o: 2 / i), "kaiming_normal_", "square root missing"),
    "one over fan": (arrays(lambda i, o: 1 / i), "lecun_normal", "square root missing"),
    "gain over fan": (arrays(lambda i, o: 2**0.5 / i), "kaiming_normal", "square root missing"),
    "a bound without its root": (
        tensors(lambda i, o: 6 / i, "uniform"),
        "kaiming_uniform_",
        "square root missing",
    ),
    "two roots": (arrays(lambda i, o: (2 / i) ** 0.25), "kaiming_normal", "square root twice"),
    "std as bound": (
        tensors(lambda i, o: (2 / i) ** 0.5, "uniform"),
        "kaiming_uniform_",
        "std used as bound",
    ),
    "std as bound, Xavier": (
        arrays(lambda i, o: (2 / (i + o)) ** 0.5, "uniform"),
        "xavier_uniform",
        "std used as bound",
    ),
    "bound as std": (arrays(lambda i, o: (6 / i) ** 0.5), "kaiming_normal", "bound used as std"),
    "uniform": (
        tensors(lambda i, o: (6 / i) ** 0.5, "uniform"),
        "kaiming_normal_",
        "uniform for normal",
    ),
    "normal": (
        arrays(lambda i, o: (2 / (i + o)) ** 0.5),
        "xavier_uniform",
        "normal for uniform",
    ),
    "cut": (
        arrays(lambda i, o: (2 / i) ** 0.5 / 0.87962566, "truncated"),
        "kaiming_normal",
        "truncated for normal",
    ),
    "cut, not uniform": (
        arrays(lambda i, o: i**-0.5 / 0.87962566, "truncated"),
        "lecun_uniform",
        "truncated for uniform",
    ),
    "uniform, not cut": (
        arrays(lambda i, o: (3 / i) ** 0.5, "uniform"),
        "variance_scaling",
        "uniform for truncated",
    ),
    "uncorrected": (
        arrays(lambda i, o: i**-0.5, "truncated"),
        "variance_scaling",
        "truncation uncorrected",
    ),
    "torch's bounds": (uncut_, partial(init.truncated_normal_, std=0.02), "truncation absolute"),
    "signs": (he(lambda x: x.abs().mean() * 1.2533 * x.sign()), "kaiming_normal_", "wrong law"),
    "mean fan": (arrays(lambda i, o: (4 / (i + o)) ** 0.5), "kaiming_normal", "fan averaged"),
    "a fan of its own": (
        arrays(lambda i, o: (2 / (i + 3 * o)) ** 0.5),
        "kaiming_normal",
        "std wrong",
    ),
    "fans swapped, in blocks": (swapped_below_, "icnr_", "fans swapped"),
    "one fan": (tensors(lambda i, o: i**-0.5), "xavier_normal_", "one fan"),
    "the other fan": (arrays(lambda i, o: o**-0.5), "xavier_normal", "one fan"),
    "kernel": (
        filled(lambda x: x * (2 / x.shape[1]) ** 0.5),
        "kaiming_normal_",
        "kernel ignored",
    ),
    "first sizes": (
        lambda shape, rng: rng.normal(0, (2 / (shape[0] + shape[1])) ** 0.5, shape),
        "xavier_normal",
        "kernel ignored",
    ),
    "no fan": (filled(lambda x: 0.05 * x), "kaiming_normal_", "fan ignored"),
    "std": (filled(lambda x: 0.03 * x), partial(init.normal_, std=0.02), "std wrong"),
    "from zero": (
        lambda shape, rng: rng.uniform(0, (6 / shape[-2]) ** 0.5, shape),
        "kaiming_uniform",
        "mean",
    ),
    "shifted": (he(lambda x: x + 0.01), "kaiming_normal_", "mean"),
    "generator": (ignores_generator_, "kaiming_normal_", "generator ignored"),
    "no generator": (lambda w: init.kaiming_normal_(w), "kaiming_normal_", "generator ignored"),
    "entropy": (
        lambda shape, rng: init.kaiming_normal(shape),
        "kaiming_normal",
        "generator ignored",
    ),
    "torch's sparse_": (
        partial(nn.init.sparse_, sparsity=0.9),
        partial(init.sparse_, sparsity=0.9),
        "generator ignored",
    ),
    "global NumPy": (
        lambda shape, rng: np.random.normal(0, (2 / matrix_fans(shape)[0]) ** 0.5, shape),
        "kaiming_normal",
        "generator ignored",
    ),
    "global seed": (seeds_globally_, "kaiming_normal_", "global state moved"),
    "fixed seed": (fixed_seed_, "kaiming_normal_", "same values each call"),
    "fixed seed, NumPy": (
        lambda shape, rng: init.orthogonal(shape, rng=0),
        "orthogonal",
        "same values each call",
    ),
    "restart": (restarts_, "kaiming_normal_", "same values each call"),
    "leaf": (breaks_a_leaf_, "kaiming_normal_", "gradient broken"),
    "no gradient": (requires_no_more_, "kaiming_normal_", "gradient broken"),
    "None": (returns_none_, "kaiming_normal_", "returns nothing"),
    "copy": (returns_a_copy_, "kaiming_normal_", "not in place"),
    "data": (replaces_data_, "kaiming_normal_", "wrong dtype"),
    "float32 alone": (float32_alone_, "kaiming_normal_", "wrong dtype"),
    "dtype": (
        lambda shape, dtype=np.float64, rng=None: init.kaiming_normal(shape, rng=rng),
        "kaiming_normal",
        "wrong dtype",
    ),
    "integers": (
        of_array(lambda x, rng: np.round(10 * x).astype(int)),
        partial(init.normal, std=10),
        "wrong dtype",
    ),
    "list": (of_array(lambda x, rng: x.tolist()), "normal", "wrong return"),
    "a number": (returns_a_number_, "kaiming_normal_", "wrong return"),
    "a line": (returns_a_line_, "kaiming_normal_", "wrong shape"),
    "turned": (turns_, "kaiming_normal_", "wrong shape"),
    "transposed": (of_array(lambda x, rng: x.T), "normal", "wrong shape"),
    "a row": (forgets_a_row_, "kaiming_normal_", "not finite"),
    "division by zero": (of_array(lambda x, rng: x / np.ceil(x)), "normal", "not finite"),
    "clones": (clones_, "kaiming_normal_", "clones"),
    "one value": (one_value_, "kaiming_normal_", "constant"),
    "no signs": (no_signs, "orthogonal", "not Haar"),
    "no signs, torch": (no_signs_, "orthogonal_", "not Haar"),
    "signed permutation": (rotations, "orthogonal", "not Haar"),
    "signed shift": (shifts, "orthogonal", "not Haar"),
    "Gaussian": (tensors(lambda i, o: max(i, o) ** -0.5), "orthogonal_", "not orthogonal"),
    "wrong side": (flattened_wrongly_, "orthogonal_", "wrong side"),
    "tall alone": (tall_alone_, "orthogonal_", "wrong side"),
    "layout, orthogonal": (torch_order, "orthogonal", "wrong layout"),
    "gain missing, orthogonal": (
        init.orthogonal,
        partial(init.orthogonal, gain="relu"),
        "gain missing",
    ),
    "gain twice, orthogonal": (
        partial(init.orthogonal_, gain=2.0),
        partial(init.orthogonal_, gain=2**0.5),
        "gain squared",
    ),
    "gain missing, by shape": (init.orthogonal_, by_shape_, "gain missing"),
    "orthogonal for delta": (init.orthogonal_, "delta_orthogonal_", "zeros misplaced"),
    "corner": (corner_, "dirac_", "identity misplaced"),
    "reversed": (
        lambda shape, rng: init.eye(shape)[:, ::-1].copy(),
        "eye",
        "identity misplaced",
    ),
    "constant": (
        partial(init.constant_, val=0.3),
        partial(init.constant_, val=0.1),
        "wrong values",
    ),
    "gain missing, identity": (
        init.identity_,
        partial(init.identity_, gain=0.5),
        "gain missing",
    ),
    "tiled": (tiled_, "icnr_", "blocks misplaced"),
    "side": (
        partial(init.sparse_incoming, connections=4, std=0.01),
        partial(init.sparse, sparsity=0.9, std=0.01),
        "sparse by the wrong side",
    ),
    "dropout": (dropped, partial(init.sparse, sparsity=0.9), "sparsity"),
    "another share": (partial(dropped, share=0.12), dropped, "sparsity"),
    "too many": (
        partial(init.sparse_incoming_, connections=16),
        "sparse_incoming_",
        "sparsity",
    ),
    "first few": (
        lambda shape, rng: np.where(np.arange(shape[0])[:, None] < 15, rng.normal(size=shape), 0),
        "sparse_incoming",
        "zeros misplaced",
    ),
    "normalized": (
        filled(lambda x: x / x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))),
        "lecun_normal_",
        "entries dependent",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_is_named(name):
    function, like, kind = WRONG[name]
    with np.errstate(divide="ignore"):
        judgment = init.check_initializer(function, like)
    assert [fault.kind for fault in judgment.faults][:1] == [kind]
    assert not judgment.ok


def test_every_kind_of_fault_is_among_the_wrong_ones():
    """The one that is left out has a test of its own below."""
    seen = {kind for *_, kind in WRONG.values()}
    assert init.FAULTS.keys() - seen == {"raises"}


def two_faults(function, like):
    return [fault.kind for fault in init.check_initializer(function, like).faults]


def test_two_mistakes_are_both_named():
    xavier_for_he = arrays(lambda i, o: (2 / (i + o)) ** 0.5)
    assert two_faults(xavier_for_he, "kaiming_normal") == ["fan averaged", "gain missing"]
    swapped_variance = tensors(lambda i, o: 2 / o)
    kinds = two_faults(swapped_variance, "kaiming_normal_")
    assert kinds == ["fans swapped", "square root missing"]
    swapped_channels = filled(lambda x: x * (2 / x.shape[0]) ** 0.5)
    assert two_faults(swapped_channels, "kaiming_normal_") == ["fans swapped", "kernel ignored"]
    uniform_bound = arrays(lambda i, o: (2 / (i + o)) ** 0.5, "uniform")
    kinds = two_faults(uniform_bound, "xavier_normal")
    assert kinds == ["std used as bound", "uniform for normal"]


# Right ones, ours and others'.


def jaxs(name, *args, **options):
    function = getattr(jax.nn.initializers, name)(*args, **options)

    def draw(shape, rng=None):
        key = jax.random.key(np.random.default_rng(rng).integers(2**31))
        return np.asarray(function(key, shape))

    return draw


def kerass(name, **options):
    kind = getattr(keras.initializers, name)

    def draw(shape, rng=None):
        seed = int(np.random.default_rng(rng).integers(2**31))
        return keras.ops.convert_to_numpy(kind(seed=seed, **options)(shape))

    return draw


def gram_schmidt(shape, rng):
    """Column by column: what is left of a Gaussian column has the right sign by itself."""
    n, k = math.prod(shape[:-1]), shape[-1]
    tall = rng.normal(size=(max(n, k), min(n, k)))
    for j in range(tall.shape[1]):
        for _ in range(2):
            tall[:, j] -= tall[:, :j] @ (tall[:, :j].T @ tall[:, j])
        tall[:, j] /= np.linalg.norm(tall[:, j])
    return (tall if n >= k else tall.T).reshape(shape)


def polar_(tensor, generator=None):
    x = torch.randn(len(tensor), tensor[0].numel(), generator=generator, dtype=tensor.dtype)
    u, _, v = torch.linalg.svd(x, full_matrices=False)
    with torch.no_grad():
        return tensor.copy_((u @ v).reshape(tensor.shape))


def by_loops(shape, rng):
    """As a beginner writes it."""
    fan_in, fan_out = shape
    weight = np.zeros(shape)
    bound = math.sqrt(6 / (fan_in + fan_out))
    for i in range(fan_in):
        for j in range(fan_out):
            weight[i][j] = rng.uniform(-bound, bound)
    return weight


def maxout_normal_(weight, g):
    return init.normal_(weight, std=tensor_fans(weight)[0] ** -0.5, generator=g)


def student(shape, rng=None):
    """A law with long tails, which no method has."""
    return 0.01 * np.random.default_rng(rng).standard_t(5, shape)


KAIMING = next(method for method in init.METHODS if method.title == "Kaiming normal")
# Theirs take long a call: few large draws.
LARGE = {"shapes": [(360, 40), (3, 5, 16, 72)]}
NEEDS = {
    "constant_": {"val": 0.5},
    "constant": {"val": 0.5},
    "sparse_": {"sparsity": 0.9},
    "sparse": {"sparsity": 0.9},
}


def ours(name):
    return partial(getattr(init, name), **NEEDS.get(name, {}))


RIGHT = {name: (ours(name), ours(name), {}) for m in init.METHODS for name in m.names}
RIGHT |= {
    f"{name}, torch": (partial(getattr(nn.init, name), **NEEDS.get(name, {})), ours(name), {})
    for name in nn.init.__all__
    # Among the wrong ones.
    if name.endswith("_") and name != "sparse_"
}
RIGHT |= {f"{m.title}, across": (ours(m.names[0]), ours(m.names[1]), {}) for m in init.METHODS}
RIGHT |= {
    "jax, he_uniform": (jaxs("he_uniform"), "kaiming_uniform", LARGE),
    "jax, he_normal": (jaxs("he_normal"), partial(init.variance_scaling, scale=2.0), LARGE),
    "jax, orthogonal": (jaxs("orthogonal"), "orthogonal", LARGE),
    "jax, delta_orthogonal": (
        jaxs("delta_orthogonal"),
        "delta_orthogonal",
        # Neither does it take fewer outputs, nor do two centres agree for even kernels.
        {"shapes": [(3, 3, 16, 72), (5, 5, 12, 12)]},
    ),
    "keras, GlorotUniform": (kerass("GlorotUniform"), "xavier_uniform", LARGE),
    "keras, Orthogonal": (kerass("Orthogonal"), "orthogonal", LARGE),
    "by hand, He": (arrays(lambda i, o: (2 / i) ** 0.5), "kaiming_normal", {}),
    "by hand, He, torch": (tensors(lambda i, o: (2 / i) ** 0.5), "kaiming_normal_", {}),
    "by hand, uniform": (
        arrays(lambda i, o: (3 / i) ** 0.5, "uniform"),
        init.lecun_uniform,
        {},
    ),
    "by hand, cut": (
        arrays(lambda i, o: i**-0.5 / 0.87962566, "truncated"),
        "variance_scaling",
        {},
    ),
    "by hand, loops": (by_loops, "xavier_uniform", {"shapes": [(200, 30), (30, 200)]}),
    "by hand, out_in": (
        lambda shape, rng: rng.normal(0, math.sqrt(2 / math.prod(shape[1:])), shape),
        "kaiming_normal",
        {"layout": "out_in"},
    ),
    "by hand, Gram-Schmidt": (gram_schmidt, "orthogonal", {"shapes": [(40, 60), (60, 40)]}),
    "by hand, SVD": (polar_, "orthogonal_", {}),
    "by hand, no rng asked": (lambda w: init.zeros_(w), init.zeros_, {}),
    "a law of its own": (maxout_normal_, "lecun_normal_", {}),
    "a lambda for like": (
        init.xavier_normal_,
        lambda w, g: init.normal_(w, std=math.sqrt(2 / sum(tensor_fans(w))), generator=g),
        {},
    ),
    "long tails": (student, student, {}),
    "zeros by chance": (dropped, dropped, {}),
    "a gain by shape": (by_shape_, by_shape_, {}),
    "a record for like": (init.kaiming_normal_, KAIMING, {}),
    "one small shape": (init.xavier_normal_, "xavier_normal_", {"shapes": [(3, 5)]}),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_one_has_no_fault(name):
    function, like, options = RIGHT[name]
    judgment = init.check_initializer(function, like, **options)
    judgment.assert_ok()
    assert judgment.ok


# The limits: what is off by a little more than chance is found, and by less is not.


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_std_that_is_off_by_three_in_a_hundred_is_found(seed):
    for factor in (0.97, 1.03):
        off = he(lambda x, factor=factor: factor * x)
        judgment = init.check_initializer(off, "kaiming_normal_", seed=seed)
        assert [fault.kind for fault in judgment.faults] == ["gain wrong"]


def test_the_limits_are_those_of_one_false_alarm_in_a_million():
    from initguide.testing.draws import LIMIT, TESTS

    # Of a normal number, both sides.
    assert TESTS * 2 * scipy.stats.norm.sf(LIMIT) == pytest.approx(1e-6)


# What is said.


def test_a_shape_that_raises_is_named_and_the_others_are_judged():
    def dense_(tensor, generator=None):
        fan_out, _ = tensor.shape
        return init.normal_(tensor, std=(2 / fan_out) ** 0.5, generator=generator)

    faults = init.check_initializer(dense_, "kaiming_normal_").faults
    assert [fault.kind for fault in faults] == ["raises", "fans swapped"]
    assert "at shape (72, 16, 3, 5); it raised ValueError: too many values" in faults[0].words
    only = init.check_initializer(dense_, "kaiming_normal_", shapes=[(300, 100)]).faults
    assert [fault.kind for fault in only] == ["fans swapped"]


def test_one_that_raises_later_is_named():
    left = iter(range(12))

    def tires_(tensor, generator=None):
        next(left)
        return init.kaiming_normal_(tensor, generator=generator)

    (found,) = init.check_initializer(tires_, "kaiming_normal_").faults
    assert found.kind == "raises"
    assert found.words == "it must draw again and again; it raised StopIteration"


def test_each_kind_has_a_hint_and_a_page():
    from initguide.testing.judgment import HINTS

    assert HINTS.keys() == init.FAULTS.keys()
    docs = Path(__file__).parents[2] / "docs"
    assert all((docs / page).is_file() for page in init.FAULTS.values())


def test_the_judgment_reads_in_words():
    good = init.check_initializer(init.kaiming_normal_, "kaiming_normal_")
    assert str(good).splitlines()[0] == "kaiming_normal_ is like kaiming_normal_"
    assert "mean and std, this within 2.0%" in str(good)
    assert good.faults == ()
    bad = init.check_initializer(init.xavier_normal_, "kaiming_normal_", shapes=[(90, 10)])
    assert str(bad).startswith("xavier_normal_ is not like kaiming_normal_\n- ")
    first = bad.faults[0]
    assert first.words.startswith("the std must be 0.4")
    assert f"Hint: {first.hint} ({first.page})" in str(first)
    for judgment in (good, bad):
        assert judgment._repr_html_().startswith(f"<p>{judgment.name} is ")
        assert "<li>" in judgment._repr_html_()
    with pytest.raises(AssertionError, match="is not like kaiming_normal_"):
        bad.assert_ok()
    with pytest.raises(dataclasses.FrozenInstanceError):
        bad.name = "another"


def test_the_same_judgment_twice_and_nothing_else_changed():
    def meddling_(tensor):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        return tensor.normal_()

    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first, second = (init.check_initializer(meddling_, "normal_") for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_the_style_is_read_from_the_signature_or_from_like():
    assert init.check_initializer(lambda w, g: init.normal_(w, generator=g), "normal_").ok
    assert init.check_initializer(lambda x, rng: rng.normal(size=x), "normal_").ok
    assert init.check_initializer(init.normal, init.normal_).ok
    assert init.check_initializer(lambda x, g: init.normal_(x, generator=g), init.normal_).ok
    both = init.check_initializer(init.xavier_normal, "xavier_normal")
    assert both.checked[-1] == "the same with layout='out_in'"


def test_a_layout_that_is_ignored_is_found():
    def deaf(shape, layout="in_out", rng=None):
        return init.kaiming_normal(shape, rng=rng)

    faults = init.check_initializer(deaf, "kaiming_normal").faults
    assert [fault.kind for fault in faults] == ["wrong layout"]


def nothing_told(x):
    return x


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: init.check_initializer(3, "normal_"), TypeError, "must be a function; got 3"),
        (lambda: init.check_initializer(init.normal_, 3), TypeError, "must be a function; got 3"),
        (
            lambda: init.check_initializer(nothing_told, nothing_told),
            TypeError,
            r"must be of the form fn_\(tensor, generator=None\) or fn\(shape, rng=None\); cannot",
        ),
        (lambda: init.check_initializer(max, max), TypeError, r"cannot tell which max\(…\) is"),
        (
            lambda: init.check_initializer(init.normal_, "he"),
            ValueError,
            "like must be 'zeros_', .* or a function; got 'he'",
        ),
        (
            lambda: init.check_initializer(init.constant_, "constant_"),
            ValueError,
            r"like must draw at the shapes \[\(40, 360\).*it raised TypeError: .*'val'",
        ),
        (
            lambda: init.check_initializer(init.eye_, "eye_", shapes=[(3, 4), (3, 4, 5)]),
            ValueError,
            r"like must draw at the shapes .*; it raised ValueError: tensor must have 2",
        ),
        (
            lambda: init.check_initializer(init.normal_, "normal_", shapes=[(3,)]),
            ValueError,
            r"shapes must have at least 2 sizes each; got \(3,\)",
        ),
        (
            lambda: init.check_initializer(init.normal, "normal", layout="oi"),
            ValueError,
            "layout must be 'in_out' or 'out_in'; got 'oi'",
        ),
        (
            lambda: init.check_initializer(init.normal_, "normal_", seed=-1),
            ValueError,
            "seed must be an integer, at least 0; got -1",
        ),
    ],
    ids=lambda value: "" if callable(value) else None,
)
def test_bad_input_gets_the_rule_then_the_value(call, error, words):
    with pytest.raises(error, match=words):
        call()
