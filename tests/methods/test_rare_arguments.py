"""Arguments that are allowed but rare: other means, negative gains, empty and meta tensors."""

import functools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import initguide as init

SHAPE = (300, 256)


def drawn(function, *shape, **options):
    return function(torch.empty(*shape), generator=torch.Generator().manual_seed(0), **options)


# Mean, std and bounds: on both sides of the mean, on one side, open, and without the mean.
CUTS = [
    (3.0, 0.5, 2.5, 4.5),
    (-1.0, 2.0, -2.0, 0.0),
    (0.3, 0.1, 0.3, math.inf),
    (2.0, 0.7, -math.inf, 1.5),
    (-5.0, 1.0, -4.5, -2.0),
]


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_a_cut_around_any_mean(cut):
    mean, std, low, high = cut
    right = stats.truncnorm((low - mean) / std, (high - mean) / std, mean, std)
    values = init.trunc_normal_(
        torch.empty(SHAPE), *cut, generator=torch.Generator().manual_seed(0)
    ).double()
    assert low <= values.min() <= values.max() <= high
    assert stats.kstest(values.flatten()[:20_000], right.cdf).pvalue > 1e-6
    # The plan states the mean and the std after the cut.
    options = {"mean": mean, "std": std, "a": low, "b": high}
    row = init.plan(nn.Linear(*SHAPE), [init.Rule("*", "trunc_normal_", **options)]).rows[0]
    assert row["mean"] == pytest.approx(right.mean())
    assert row["std"] == pytest.approx(right.std())


@pytest.mark.parametrize(("mean", "std", "cut"), [(3.0, 0.5, 2.0), (-0.2, 0.05, 1.0), (7, 2, 3)])
def test_a_cut_by_std_is_symmetric_around_the_mean(mean, std, cut):
    values = drawn(init.truncated_normal_, *SHAPE, mean=mean, std=std, cut=cut).double()
    far = values - mean
    error = std / math.sqrt(values.numel())
    assert abs(far.mean()) < 5 * error
    assert values.std().item() == pytest.approx(std, abs=5 * error)
    # The bounds are as many stds before the cut away, and values come near both.
    before = std / stats.truncnorm(-cut, cut).std()
    assert far.max().item() == pytest.approx(cut * before, rel=0.01)
    assert far.min().item() == pytest.approx(-cut * before, rel=0.01)
    array = init.truncated_normal(SHAPE, mean, std, cut, rng=0)
    assert abs(array.mean() - mean) < 5 * error
    row = init.plan(
        nn.Linear(*SHAPE), [init.Rule("*", "truncated_normal_", mean=mean, std=std, cut=cut)]
    ).rows[0]
    assert (row["mean"], row["std"]) == pytest.approx((mean, std))


SIGNED = {
    "orthogonal_": [(300, 256), (256, 300), (40, 7), (1, 5)],
    "delta_orthogonal_": [(300, 256, 3), (64, 64, 3, 3)],
    "identity_": [(300, 256), (256, 256, 3), (6, 6, 3, 3)],
}


@pytest.mark.parametrize(
    ("name", "shape"), [(name, shape) for name, shapes in SIGNED.items() for shape in shapes]
)
@pytest.mark.parametrize("gain", [-1.0, -2.5])
def test_a_negative_gain_turns_the_sign(name, shape, gain):
    fill_ = getattr(init, name)
    options = {} if name == "identity_" else {"generator": torch.Generator().manual_seed(0)}
    negative = fill_(torch.empty(shape), gain=gain, **options)
    if options:
        options["generator"].manual_seed(0)
    positive = fill_(torch.empty(shape), gain=-gain, **options)
    assert positive.abs().max() > 0
    torch.testing.assert_close(negative, -positive)
    if name == "orthogonal_":
        short = min(shape)
        gram = negative @ negative.T if shape[0] == short else negative.T @ negative
        torch.testing.assert_close(gram, gain**2 * torch.eye(short), atol=1e-4, rtol=0)
        array = init.orthogonal(shape, gain, rng=0)
        np.testing.assert_allclose(array, -init.orthogonal(shape, -gain, rng=0))


@pytest.mark.parametrize("name", ["xavier_normal_", "xavier_uniform_", "lecun_normal_"])
def test_a_random_weight_takes_no_negative_gain(name):
    with pytest.raises(ValueError, match="gain"):
        getattr(init, name)(torch.empty(SHAPE), gain=-1.0)


DRAWS = {
    "sparse_": {"sparsity": 0.5},
    "sparse_incoming_": {"connections": 3},
    "orthogonal_": {},
    "truncated_normal_": {},
    "xavier_uniform_": {},
}


@pytest.mark.parametrize(("name", "options"), DRAWS.items())
@pytest.mark.parametrize(("shape", "device"), [((0, 8), "cpu"), ((300, 256), "meta")])
def test_nothing_is_drawn_without_memory(name, options, shape, device):
    tensor = torch.empty(shape, device=device)
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert getattr(init, name)(tensor, generator=generator, **options) is tensor
    assert torch.equal(generator.get_state(), before)


# The numbers of dimensions that a method takes, where it does not take all from 0 or from 2 up.
DIMENSIONS = {
    "delta_orthogonal": (3, 4, 5),
    "identity": (2, 3, 4, 5),
    "eye": (2,),
    "dirac": (3, 4, 5),
    "sparse": (2,),
    "sparse_incoming": (2,),
    "icnr": (3, 4, 5),
}
ANY = ("zeros", "ones", "constant", "normal", "uniform", "trunc_normal", "truncated_normal")
NEEDED = {"constant": {"val": 0.5}, "sparse": {"sparsity": 0.5}}


@pytest.mark.parametrize("name", [name for method in init.METHODS for name in method.names])
def test_each_method_takes_its_numbers_of_dimensions(name):
    plain = name.removesuffix("_")
    taken = DIMENSIONS.get(plain, range(7) if plain in ANY else range(2, 7))
    draw = functools.partial(getattr(init, name), **NEEDED.get(plain, {}))
    for count in range(7):
        shape = (3, 3, 3, 3, 16, 16)[6 - count :]
        value = torch.empty(shape[::-1]) if name.endswith("_") else shape
        if count in taken:
            assert sorted(draw(value).shape) == sorted(shape)
        else:
            with pytest.raises(ValueError, match=r"(tensor|shape) must have .*dimensions"):
                draw(value)
