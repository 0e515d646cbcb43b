"""The sampler of a parameter: its name, its moments, and what it draws."""

import pickle

import pytest
import torch

import initguide as init
from initguide.model.samplers import KEEP, make_sampler


def sampler(law, shape=(8, 4), blocks=1, times=1.0, fans=(4, 8), **options):
    tensor = torch.empty(shape)
    return make_sampler(law, tensor, lambda: init.Fans(*fans), blocks, times, options)


def filled(made, shape=(8, 4), seed=0):
    tensor = torch.full(shape, 7.0)
    made.fill_(tensor, seed, "w")
    return tensor


@pytest.mark.parametrize(
    ("blocks", "name"), [(1, "orthogonal_"), (2, "orthogonal_ ×2"), (4, "orthogonal_ ×4")]
)
def test_stacked_weights_are_orthogonal_one_by_one(blocks, name):
    made = sampler("orthogonal_", blocks=blocks, times=3.0)
    assert made.name == name
    assert made.block_count == blocks
    values = filled(made)
    for part in values.chunk(blocks):
        short = part if len(part) <= 4 else part.T
        torch.testing.assert_close(short @ short.T, 9 * torch.eye(len(short)))
    # The mean square of a block of r rows and 4 columns is 1 / max(r, 4).
    assert made.std == pytest.approx(3 * max(8 // blocks, 4) ** -0.5)
    assert made.mean == 0


@pytest.mark.parametrize("times", [1.0, 0.5, -2.0])
def test_a_factor_multiplies_what_a_method_draws(times):
    for law, options in (
        ("kaiming_normal_", {}),
        ("uniform_", {"a": 1.0, "b": 3.0}),
        ("constant_", {"val": 0.3}),
        ("sparse_", {"sparsity": 0.5}),
        (lambda tensor, generator: tensor.normal_(generator=generator), {}),
    ):
        one, many = sampler(law, **options), sampler(law, times=times, **options)
        sign = abs(times) if law == "kaiming_normal_" else times
        torch.testing.assert_close(filled(many), sign * filled(one))
        for was, now in ((one.mean, many.mean), (one.std, many.std)):
            assert (was is None) == (now is None)
        if one.std is not None:
            assert many.std == pytest.approx(abs(times) * one.std)
            assert many.mean == pytest.approx(times * one.mean)


def test_a_scaled_method_knows_its_std_at_any_fans():
    made = sampler("xavier_normal_", times=-2.0, gain=3.0)
    assert made.std == pytest.approx(2 * 3 * (2 / 12) ** 0.5)
    assert made.std_for_fans(init.Fans(50, 150)) == pytest.approx(2 * 3 * 0.1)
    assert made.distribution.std == pytest.approx(made.std)
    zero = sampler("xavier_normal_", gain=0.0)
    assert (zero.std, zero.distribution.kind) == (0, "constant")
    assert not filled(zero).any()
    assert sampler("normal_").std_for_fans is None


def test_values_depend_on_the_seed_and_a_sampler_can_be_pickled():
    for law, options in (("orthogonal_", {}), ("normal_", {}), ("lecun_uniform_", {})):
        made = sampler(law, **options)
        again = pickle.loads(pickle.dumps(made))
        assert torch.equal(filled(made), filled(again))
        assert not torch.equal(filled(made), filled(made, seed=1))


def test_keep_leaves_the_values():
    assert (filled(KEEP) == 7).all()
    assert KEEP.keeps_values
    assert (KEEP.name, KEEP.from_package) == ("keep_", False)
    assert not sampler("normal_").keeps_values
    assert sampler("normal_").from_package


def test_a_law_must_be_known_and_fill_in_place():
    with pytest.raises(ValueError, match=r"law must be a function or one of zeros_, .*'he'"):
        sampler("he")
    with pytest.raises(ValueError, match="law must fill its tensor in place; got one that returns"):
        filled(sampler(lambda tensor, generator: torch.zeros_like(tensor)))
    assert not filled(sampler(lambda tensor: tensor.zero_())).any()
