"""Random numbers: normals and uniforms from NumPy, truncated normals, half precision."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

import initguide as init
from initguide import random
from initguide.random import normal_sampler

INF = math.inf
# Mean, std, a, b: usual, wide, on one side of the mean, narrow, in a tail, far out, without bound.
CUTS = [
    (0, 0.02, -0.04, 0.04),
    (0, 0.02, -2, 2),
    (0, 1, -3, 3),
    (0, 1, -1, 9),
    (2, 1, -9, 0.5),
    (0, 1, 0, 2),
    (0, 1, 2, 3),
    (0, 1, 2.9, 3),
    (0, 1, -0.001, 0.002),
    (3, 2, -3.5, -3.4),
    (0, 1, 6, 7),
    (-5, 1, 0, INF),
    (0, 0.1, -INF, -0.5),
    (0, 1, -INF, 1),
    (0, 1, 0, INF),
    (1, 2, -INF, INF),
    (0, 1, 40, 41),
    (0, 1, -INF, -60),
    # The same intervals as the first, and one that is not symmetric, around another mean.
    (2, 0.5, 1, 3),
    (-1, 1, -2, 1.5),
    (3, 0.5, 1, 9),
]


def distribution_of(mean, std, a, b):
    return stats.truncnorm((a - mean) / std, (b - mean) / std, mean, std)


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_truncated_normal_distribution(cut):
    _, _, a, b = cut
    expected = distribution_of(*cut)
    generator = torch.Generator().manual_seed(0)
    for values in (
        init.trunc_normal_(torch.empty(1_000_000), *cut, generator=generator).double().numpy(),
        init.trunc_normal((100_000,), *cut, rng=0),
        init.trunc_normal((100_000,), *cut, dtype=np.float32, rng=0).astype(float),
    ):
        assert values.min() >= a
        assert values.max() <= b
        # No value is moved to a bound.
        assert ((values == a) | (values == b)).mean() < 1e-3
        assert stats.kstest(values, expected.cdf).pvalue > 1e-4


@pytest.mark.parametrize("cut", CUTS[:3], ids=str)
def test_truncated_normal_has_its_ends(cut):
    """The last thousandth at each end has its share of values, where float32 is coarsest."""
    expected, count = distribution_of(*cut), 1_000_000
    values = init.trunc_normal_(
        torch.empty(count), *cut, generator=torch.Generator().manual_seed(1)
    ).numpy()
    for share in ((values < expected.ppf(1e-3)).mean(), (values > expected.isf(1e-3)).mean()):
        assert abs(share - 1e-3) < 4 * math.sqrt(1e-3 / count)


@pytest.mark.parametrize(
    ("cut", "count", "above"),
    [((0, 1, -6, 6), 1_000_000, 3.5), ((-2.9, 1, 0, 0.1), 2000, 0)],
    ids=str,
)
def test_truncated_normal_keeps_its_digits(cut, count, above):
    """In the tail the inverse of the distribution function has few values, which would repeat."""
    values = init.trunc_normal_(
        torch.empty(count), *cut, generator=torch.Generator().manual_seed(0)
    )
    chosen = values[values > above]
    assert len(chosen) > 200
    assert len(chosen.unique()) >= len(chosen) - 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("cut", [(0, 1, -2, 2), (0, 1, -4, 4), (0, 1, 1, INF)], ids=str)
def test_chunks_are_independent(cut, dtype):
    """With more elements than are drawn at once, all are filled and none is a copy."""
    values = init.trunc_normal_(
        torch.full((300, 701), math.nan, dtype=dtype),
        *cut,
        generator=torch.Generator().manual_seed(0),
    ).flatten()
    assert values.isfinite().all()
    chunks = values[: 3 * 2**16].double().view(3, -1)
    assert (chunks.corrcoef() - torch.eye(3)).abs().max() < 5 / 2**8


def test_truncated_normal_in_any_memory():
    memory = torch.full((40, 60), 7.0)
    expected = init.trunc_normal_(torch.empty(40, 30), generator=torch.Generator().manual_seed(0))
    tensor = memory[:, ::2]
    init.trunc_normal_(tensor, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tensor, expected)
    assert (memory[:, 1::2] == 7).all()


def test_truncated_normal_of_one_value_and_of_none():
    assert (init.trunc_normal_(torch.empty(5), a=0.25, b=0.25) == 0.25).all()
    assert (init.trunc_normal((5,), a=0.25, b=0.25) == 0.25).all()
    for options, message in [
        ({"a": 1.0, "b": 0.0}, "a must be at most b; got a=1.0 and b=0.0"),
        ({"a": math.nan}, "a must be finite; got nan"),
        ({"b": math.nan}, "b must be finite; got nan"),
        ({"a": INF, "b": INF}, "a must be finite; got inf"),
        ({"b": -INF}, "b must be finite; got -inf"),
    ]:
        with pytest.raises(ValueError, match=message):
            init.trunc_normal_(torch.empty(5), **options)
        with pytest.raises(ValueError, match=message):
            init.trunc_normal((5,), **options)
    with pytest.raises(TypeError, match=r"tensor must be real.*; got torch\.complex64"):
        init.trunc_normal_(torch.empty(5, dtype=torch.complex64))


@pytest.mark.parametrize("count", [1, 2**13 - 1, 2**13 + 1, 2**16 + 1, 1_000_000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_normals_of_numpy(count, dtype):
    values = torch.full((count,), math.nan, dtype=dtype)
    normal_sampler(np.random.default_rng(0))(values)
    array = values.double().numpy()
    assert stats.kstest(array, stats.norm.cdf).pvalue > 1e-4
    if count == 1_000_000:
        for power, moment, variance in [
            (1, 0, 1),
            (2, 1, 2),
            (3, 0, 15),
            (4, 3, 96),
            (6, 15, 10170),
        ]:
            assert abs((array**power).mean() - moment) < 4 * math.sqrt(variance / count)
        # The two normals of a pair, half a chunk apart, are independent.
        pairs = array[: 15 * 2**16].reshape(15, 2, -1)
        first, second = pairs[:, 0].ravel(), pairs[:, 1].ravel()
        for one, other in [(first, second), (first**2, second**2), (abs(first), second)]:
            assert abs(np.corrcoef(one, other)[0, 1]) < 4 / math.sqrt(len(first))
        assert 4.4 < abs(array).max() < 6.5


def test_normals_of_numpy_reach_far_into_the_tail():
    class Zeros(np.random.Generator):
        def integers(self, *args, size, dtype):
            return np.zeros(size, dtype)

    values = torch.empty(2**14)
    normal_sampler(Zeros(np.random.PCG64()))(values)
    assert values.max() == pytest.approx(math.sqrt(2 * 33 * math.log(2)))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_stays_inside_and_unbiased(dtype):
    count, bound = 400_000, 0.1
    generator = torch.Generator().manual_seed(0)
    values = init.uniform_(torch.empty(count, dtype=dtype), -bound, bound, generator).double()
    assert values.abs().max() <= bound
    assert abs(values.mean()) < 4 * bound / 3**0.5 / count**0.5
    cut = init.trunc_normal_(torch.empty(count, dtype=dtype), 0, 0.02, -0.04, 0.04, generator)
    assert cut.double().abs().max() <= 0.04
    # The bound, rounded to the dtype, may be outside. The largest value is the last number inside.
    below = torch.tensor(0.04, dtype=torch.float64).to(dtype)
    below = below if below.double() <= 0.04 else below.nextafter(torch.zeros_like(below))
    assert cut.max() == below
    assert abs(cut.double().std() / 0.02 / 0.879626 - 1) < 4 / count**0.5


def test_scaled_methods_have_the_right_std():
    """The shape has a fan_in that is far from fan_out and from the mean of both."""
    fan_in, fan_out = 400, 25
    expected = {
        "xavier": (2 / 425) ** 0.5,
        "lecun": (1 / 400) ** 0.5,
        "kaiming": (2 / 400) ** 0.5,
    }
    for family, std in expected.items():
        bound = 3**0.5 * std
        for name, distribution in (
            ("normal", stats.norm(0, std)),
            ("uniform", stats.uniform(-bound, 2 * bound)),
        ):
            weight = getattr(init, f"{family}_{name}")((fan_in, fan_out), rng=0)
            assert stats.kstest(weight.ravel(), distribution.cdf).pvalue > 1e-4
            tensor = torch.empty(fan_out, fan_in, dtype=torch.float64)
            generator = torch.Generator().manual_seed(0)
            getattr(init, f"{family}_{name}_")(tensor, generator=generator)
            assert stats.kstest(tensor.numpy().ravel(), distribution.cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    # In std from the mean. What is recorded is cut at five std, unless it begins beyond three.
    [
        (-INF, INF, (-5, 5)),
        (-6, 4.5, (-5, 4.5)),
        (-4.5, 6, (-4.5, 5)),
        (2.9, INF, (2.9, 5)),
        (-INF, -2.9, (-5, -2.9)),
        (0.5, 1, (0.5, 1)),
        (3.1, INF, None),
        (-INF, -3.1, None),
    ],
)
def test_what_is_recorded_goes_through_the_inverse(monkeypatch, low, high, ends):
    class RejectionError(Exception):
        """The proposals are uniform between 0 and 1."""

    def fill_ends_(out, bottom, top):
        if (bottom, top) == (0, 1):
            raise RejectionError
        out.copy_(torch.tensor([bottom, top], dtype=torch.float64))

    monkeypatch.setattr(random, "is_traced", lambda out: True)
    out = torch.empty(2, dtype=torch.float64)
    cut = (1.0, 2.0, 1 + 2 * low, 1 + 2 * high, None, fill_ends_)
    if ends is None:
        with pytest.raises(RejectionError):
            random.fill_truncated_normal_(out, *cut)
    else:
        random.fill_truncated_normal_(out, *cut)
        assert ((out - 1) / 2).tolist() == pytest.approx(ends, rel=1e-8)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 5)])
def test_a_tensor_without_entries_takes_no_random_numbers(cut, shape):
    source = torch.Generator().manual_seed(0)
    before = source.get_state()
    for dtype in (torch.float32, torch.bfloat16):
        empty = torch.empty(shape, dtype=dtype)
        assert init.trunc_normal_(empty, *cut, generator=source) is empty
    assert torch.equal(source.get_state(), before)
