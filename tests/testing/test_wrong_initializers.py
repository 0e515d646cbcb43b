"""check_initializer names the mistake in a wrong initializer."""

# Some wrong initializers draw from the legacy global state.
# ruff: noqa: NPY002

import functools
import math

import numpy as np
import pytest
import torch
from initializers import (
    arrays,
    by_shape_,
    dropped,
    filled,
    he,
    matrix_fans,
    of_array,
    tensor_fans,
    tensors,
)
from torch import nn

import initguide as init

partial = functools.partial


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
    """ICNR with the copies one after the other, not side by side."""
    with torch.no_grad():
        drawn = init.kaiming_normal_(tensor[: len(tensor) // 4].clone(), generator=generator)
        return tensor.copy_(torch.cat([drawn] * 4))


def swapped_below_(tensor, generator=None):
    """ICNR with the fan_out of the whole for its fan_in."""
    std = (2 / tensor_fans(tensor)[1]) ** 0.5
    return init.icnr_(tensor, init_=partial(init.normal_, std=std), generator=generator)


# Each: the function, the method it should follow, and the first kind that must be named.
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
    "signs": (
        he(lambda x: x.abs().mean() * 1.2533 * x.sign()),
        "kaiming_normal_",
        "wrong distribution",
    ),
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
def test_a_wrong_initializer_is_named(name):
    function, like, kind = WRONG[name]
    with np.errstate(divide="ignore"):
        report = init.check_initializer(function, like)
    assert [finding.kind for finding in report.findings][:1] == [kind]
    assert not report.ok


def test_every_kind_of_finding_is_among_the_wrong_initializers():
    """The one that is left out has a test of its own in test_check_initializer."""
    kinds = {name for name, kind in init.FINDINGS.items() if "check_initializer" in kind.found_by}
    assert kinds - {kind for *_, kind in WRONG.values()} == {"raises"}


def kinds_of(function, like):
    return [finding.kind for finding in init.check_initializer(function, like).findings]


def test_two_mistakes_are_both_named():
    xavier_for_he = arrays(lambda i, o: (2 / (i + o)) ** 0.5)
    assert kinds_of(xavier_for_he, "kaiming_normal") == ["fan averaged", "gain missing"]
    swapped_variance = tensors(lambda i, o: 2 / o)
    kinds = kinds_of(swapped_variance, "kaiming_normal_")
    assert kinds == ["fans swapped", "square root missing"]
    swapped_channels = filled(lambda x: x * (2 / x.shape[0]) ** 0.5)
    assert kinds_of(swapped_channels, "kaiming_normal_") == ["fans swapped", "kernel ignored"]
    uniform_bound = arrays(lambda i, o: (2 / (i + o)) ** 0.5, "uniform")
    kinds = kinds_of(uniform_bound, "xavier_normal")
    assert kinds == ["std used as bound", "uniform for normal"]
