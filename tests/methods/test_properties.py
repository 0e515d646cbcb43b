"""What defines the methods beyond torch's: each property, in both backends and layouts."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

import initguide as init

CONVOLUTIONS = {3: nn.functional.conv1d, 4: nn.functional.conv2d, 5: nn.functional.conv3d}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def out_in(array):
    """Return an array `(*kernel, in, out)` as a tensor `(out, in, *kernel)`."""
    return torch.from_numpy(np.moveaxis(array, (-1, -2), (0, 1)).copy())


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (6, 2, 3), (6, 3, 3, 5), (4, 2, 1, 2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_identity_is_the_same_in_both_backends_and_layouts(shape, groups):
    ours = init.identity_(torch.empty(shape, dtype=torch.float64), 0.5, groups)
    array = init.identity(shape, 0.5, groups, layout="out_in")
    turned = (*shape[2:], shape[1], shape[0])
    assert torch.equal(ours, torch.from_numpy(array))
    assert torch.equal(ours, out_in(init.identity(turned, 0.5, groups)))
    if len(shape) > 2:
        theirs = nn.init.dirac_(torch.empty(shape, dtype=torch.float64), groups)
        assert torch.equal(ours, 0.5 * theirs)
        assert torch.equal(out_in(init.dirac(turned, groups)), theirs)


@pytest.mark.parametrize("dimensions", [3, 4, 5])
def test_identity_copies_the_input(dimensions):
    weight = init.identity_(torch.empty(4, 4, *(3,) * (dimensions - 2)), gain=2.0)
    x = torch.randn(2, 4, *(6,) * (dimensions - 2), generator=generator())
    assert torch.equal(CONVOLUTIONS[dimensions](x, weight, padding=1), 2 * x)


SPARSE = {
    "tensor": lambda seed: init.sparse_incoming_(torch.empty(300, 40), 7, 0.5, generator(seed)),
    "in_out": lambda seed: torch.tensor(init.sparse_incoming((40, 300), 7, 0.5, rng=seed).T),
    "out_in": lambda seed: torch.tensor(
        init.sparse_incoming((300, 40), 7, 0.5, layout="out_in", rng=seed)
    ),
}


@pytest.mark.parametrize("kind", SPARSE)
def test_each_unit_hears_so_many_inputs_chosen_evenly(kind):
    weights = torch.stack([SPARSE[kind](seed) for seed in range(5)])
    assert ((weights != 0).sum(2) == 7).all()
    outgoing = (weights != 0).sum((0, 1)).numpy()
    # Sampling without replacement spreads less than the multinomial that the test assumes.
    assert stats.chisquare(outgoing).pvalue > 1e-4
    assert stats.kstest(weights[weights != 0].numpy(), "norm", args=(0, 0.5)).pvalue > 1e-4


def test_std_one_over_the_root_of_connections_keeps_the_second_moment():
    weight = init.sparse_incoming_(torch.empty(4000, 500), 15, 15**-0.5, generator())
    x = torch.randn(500, 20, generator=generator(1))
    assert (weight @ x).square().mean().item() == pytest.approx(1, abs=0.05)


def test_sparse_counts_zeros_by_input_in_both_layouts():
    for zeros in (
        (init.sparse((30, 50), 0.33, rng=0) == 0).sum(1),
        (init.sparse((50, 30), 0.33, layout="out_in", rng=0) == 0).sum(0),
    ):
        assert (zeros == 17).all()


@pytest.mark.parametrize("shape", [(6, 4, 3), (6, 4, 3, 5), (6, 4, 3, 3, 3)], ids=str)
def test_delta_orthogonal_keeps_every_input(shape):
    weights = [
        init.delta_orthogonal_(torch.empty(shape), 2.0, generator()),
        out_in(init.delta_orthogonal((*shape[2:], 4, 6), 2.0, rng=0)).float(),
        torch.tensor(init.delta_orthogonal(shape, 2.0, layout="out_in", rng=0)).float(),
    ]
    x = torch.randn(3, 4, *(7,) * (len(shape) - 2), generator=generator(1))
    padding = [size // 2 for size in shape[2:]]
    for weight in weights:
        y = CONVOLUTIONS[len(shape)](x, weight, padding=padding)
        torch.testing.assert_close(y.square().sum(1), 4 * x.square().sum(1))


def test_delta_orthogonal_with_fewer_outputs_keeps_the_gradient():
    centre = init.delta_orthogonal_(torch.empty(3, 8, 3, 3), generator=generator())[..., 1, 1]
    torch.testing.assert_close(centre @ centre.T, torch.eye(3))


@pytest.mark.parametrize("factor", [2, 3])
def test_icnr_starts_as_a_smaller_convolution_enlarged(factor):
    out = 5 * factor**2
    weights = [
        init.icnr_(torch.empty(out, 4, 3, 3), factor, generator=generator()),
        torch.tensor(init.icnr((3, 3, 4, out), factor, rng=0)).permute(3, 2, 0, 1).float(),
        torch.tensor(init.icnr((out, 4, 3, 3), factor, layout="out_in", rng=0)).float(),
    ]
    x = torch.randn(2, 4, 6, 6, generator=generator(1))
    for weight in weights:
        image = nn.functional.pixel_shuffle(nn.functional.conv2d(x, weight), factor)
        small = nn.functional.conv2d(x, weight[:: factor**2])
        enlarged = small.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        torch.testing.assert_close(image, enlarged)
        # Each kernel has He's law at its own fan_in.
        assert weight.std().item() == pytest.approx((2 / 36) ** 0.5, rel=0.2)


def test_icnr_hands_on_its_initializer_and_generator():
    first, again = (
        init.icnr_(torch.empty(8, 2, 3), 2, init.xavier_uniform_, generator()) for _ in range(2)
    )
    assert torch.equal(first, again)
    small = init.xavier_uniform_(torch.empty(4, 2, 3), generator=generator())
    assert torch.equal(first[::2], small)


@pytest.mark.parametrize("cut", [0.01, 0.5, 1.0, 2.0, 3.5, 6.0])
def test_a_truncated_normal_has_the_std_it_is_asked_for(cut):
    law = stats.truncnorm(-cut, cut, loc=1, scale=0.02 / stats.truncnorm(-cut, cut).std())
    for values in (
        init.truncated_normal_(torch.empty(200_000), 1.0, 0.02, cut, generator()).double().numpy(),
        init.truncated_normal((200_000,), 1.0, 0.02, cut, rng=0),
    ):
        assert values.std() == pytest.approx(0.02, rel=4 / np.sqrt(2 * len(values)))
        low, high = law.support()
        assert low - 1e-7 <= values.min() <= values.max() <= high + 1e-7
        # In float32 around 1, values are rounded to about 1e-7: harmless to the test at this size.
        assert stats.kstest(values, law.cdf).pvalue > 1e-4
