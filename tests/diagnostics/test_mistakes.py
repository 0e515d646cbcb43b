"""The table of mistakes: audit and check_initializer find each of them, under the same name."""

import math

import pytest
import torch
from initializers import filled, tensor_fans
from torch import nn

import initguide as init
from initguide import Rule
from initguide.diagnostics.explain import explain, gain_mistake, wrong_distribution
from initguide.diagnostics.mistakes import DISTRIBUTIONS, MISTAKES, Case, Known

KERNEL = (3, 5)


def drawn(std, distribution="normal"):
    """Return an initializer with a std, or a bound, that is a function of the fans."""

    def fill_(tensor, generator=None):
        size = std(*tensor_fans(tensor))
        with torch.no_grad():
            if distribution == "uniform":
                return tensor.uniform_(-size, size, generator=generator)
            if distribution == "truncated":
                return init.trunc_normal_(
                    tensor, std=size, a=-2 * size, b=2 * size, generator=generator
                )
            return tensor.normal_(0, size, generator=generator)

    return fill_


def channels_alone(x):
    return x * (2 / x.shape[1]) ** 0.5


def misread_(tensor, generator=None):
    """He's std from a shape that is read as (*kernel, in, out)."""
    fan_in = math.prod(tensor.shape[:-1])
    return init.normal_(tensor, std=(2 / fan_in) ** 0.5, generator=generator)


# Each kind: a wrong initializer, and the method that it should follow.
SHARED = {
    "fans swapped": (drawn(lambda i, o: (2 / o) ** 0.5), "kaiming_normal_", {}),
    "one fan": (drawn(lambda i, o: i**-0.5), "xavier_normal_", {}),
    "fan averaged": (drawn(lambda i, o: (4 / (i + o)) ** 0.5), "kaiming_normal_", {}),
    "wrong layout": (misread_, "kaiming_normal_", {}),
    "kernel ignored": (filled(channels_alone), "kaiming_normal_", {}),
    "gain missing": (drawn(lambda i, o: i**-0.5), "kaiming_normal_", {}),
    "gain squared": (drawn(lambda i, o: 2 * i**-0.5), "kaiming_normal_", {}),
    "gain under the root": (drawn(lambda i, o: (2**0.5 / i) ** 0.5), "kaiming_normal_", {}),
    "gain wrong": (drawn(lambda i, o: (2 / i) ** 0.5), "lecun_normal_", {}),
    "square root missing": (drawn(lambda i, o: 2 / i), "kaiming_normal_", {}),
    "square root twice": (drawn(lambda i, o: (2 / i) ** 0.25), "kaiming_normal_", {}),
    "std used as bound": (
        drawn(lambda i, o: (2 / i) ** 0.5, "uniform"),
        "kaiming_uniform_",
        {},
    ),
    "bound used as std": (drawn(lambda i, o: (6 / i) ** 0.5), "kaiming_normal_", {}),
    "truncation uncorrected": (
        drawn(lambda i, o: i**-0.5, "truncated"),
        "variance_scaling_",
        {},
    ),
    "std wrong": (drawn(lambda i, o: (2 / (i + 7 * o)) ** 0.5), "kaiming_normal_", {}),
    "uniform for normal": (drawn(lambda i, o: (6 / i) ** 0.5, "uniform"), "kaiming_normal_", {}),
    "normal for uniform": (drawn(lambda i, o: (2 / i) ** 0.5), "kaiming_uniform_", {}),
    "truncated for normal": (
        drawn(lambda i, o: (2 / i) ** 0.5 / 0.87962566, "truncated"),
        "kaiming_normal_",
        {},
    ),
    "truncated for uniform": (
        drawn(lambda i, o: (2 / i) ** 0.5 / 0.87962566, "truncated"),
        "kaiming_uniform_",
        {},
    ),
    "uniform for truncated": (
        drawn(lambda i, o: (3 / i) ** 0.5, "uniform"),
        "variance_scaling_",
        {},
    ),
    "truncation absolute": (
        drawn(lambda i, o: 0.02),
        "truncated_normal_",
        {"std": 0.02},
    ),
    "wrong distribution": (
        filled(lambda x: x.sign() * (2 / tensor_fans(x)[0]) ** 0.5),
        "kaiming_normal_",
        {},
    ),
    "mean": (drawn(lambda i, o: 0.05), "normal_", {"std": 0.05, "mean": 0.02}),
    "constant": (
        filled(lambda x: x.flatten()[0].expand_as(x)),
        "kaiming_normal_",
        {},
    ),
    "not finite": (filled(lambda x: x / 0), "kaiming_normal_", {}),
    "wrong values": (lambda w, generator=None: init.constant_(w, 0.1), "constant_", {"val": 0.3}),
    "not orthogonal": (drawn(lambda i, o: max(i, o) ** -0.5), "orthogonal_", {}),
}


def model(*, relu):
    """One convolution whose fans differ by far."""
    conv = nn.Conv2d(16, 72, KERNEL, bias=False)
    return nn.Sequential(conv, nn.ReLU()) if relu else nn.Sequential(conv)


@pytest.mark.parametrize("kind", SHARED)
def test_check_initializer_names_the_mistake(kind):
    fill_, method, options = SHARED[kind]

    def right_(tensor, generator=None):
        random = {} if method == "constant_" else {"generator": generator}
        return getattr(init, method)(tensor, **options, **random)

    found = init.check_initializer(fill_, right_).findings
    assert found[0].kind == kind


@pytest.mark.parametrize("kind", SHARED)
def test_audit_names_the_same_mistake(kind):
    fill_, method, options = SHARED[kind]
    net, recipe = model(relu="gain" in kind), [Rule("*weight", method, **options)]
    init.initialize_(net, recipe, seed=0)
    init.audit(net, recipe).assert_ok()
    with torch.no_grad():
        fill_(net[0].weight, torch.Generator().manual_seed(1))
    (found,) = init.audit(net, recipe).findings
    assert (found.kind, found.where) == (kind, "0.weight")


def test_every_shared_kind_is_tried():
    shared = {
        name
        for name, kind in init.FINDINGS.items()
        if {"audit", "check_initializer"} <= set(kind.found_by)
    }
    assert shared == SHARED.keys()


def test_every_mistake_of_the_table_has_a_kind():
    for mistake in MISTAKES:
        for kind in mistake.kinds:
            assert "audit" in init.FINDINGS[kind].found_by
        assert mistake.text.format(gain="the gain")


# The fans of a grouped convolution and of a transposed one are not those of their shapes.


@pytest.mark.parametrize(
    ("layer", "std"),
    [
        (nn.Conv2d(64, 32, 3, groups=8, bias=False), 1.0),
        (nn.ConvTranspose2d(64, 8, 3, stride=2, bias=False), 1.0),
    ],
)
def test_audit_sees_that_fans_are_those_of_the_shape(layer, std):
    net, recipe = nn.Sequential(layer), [Rule("*weight", "xavier_normal_")]
    init.initialize_(net, recipe, seed=0)
    init.audit(net, recipe).assert_ok()
    init.xavier_normal_(layer.weight, gain=std, generator=torch.Generator().manual_seed(0))
    (found,) = init.audit(net, recipe).findings
    assert found.kind == "wrong fans"
    fans = init.layer_fans(layer)
    assert "the fans were those of the weight's shape" in found.message
    assert f"fan_in is {fans.fan_in:g} and fan_out is {fans.fan_out:g}" in found.message


def case(std, right=0.1, shape=(40, 360), looks=("normal",)):
    return Case(std, right, shape, shape, shape, None, looks)


HE = Known(lambda shape: (2 / math.prod(shape[1:])) ** 0.5, 2**0.5, "the gain")


def test_two_mistakes_are_tried_only_if_one_is_not_enough():
    shapes = [(40, 360), (360, 40), (24, 24)]
    rights = [HE.std_of(shape) for shape in shapes]
    # The variance for swapped fans.
    cases = [
        case(2 / out, right, (out, fan_in))
        for right, (out, fan_in) in zip(rights, shapes, strict=True)
    ]
    assert [each.kinds for each in explain(cases, HE)] == [("fans swapped", "square root missing")]
    assert explain(cases, HE, pairs=False) == []
    one = [case(right**2, right, shape) for right, shape in zip(rights, shapes, strict=True)]
    assert [each.kinds for each in explain(one, HE)] == [("square root missing",)]


@pytest.mark.parametrize(
    ("std", "kind"),
    [
        (0.01, "square root missing"),
        (0.316228, "square root twice"),
        (0.173205, "bound used as std"),
        (0.141421, "gain wrong"),
    ],
)
def test_only_mistakes_in_numbers_explain_a_std_that_is_the_same_at_each_shape(std, kind):
    (found,) = explain([case(std, 0.1)], Known(None, None, ""))
    assert (found.kinds, found.of_fans) == ((kind,), False)


def test_a_mistake_that_changes_nothing_explains_nothing():
    square = case(0.05, 0.0408, (1200, 1200))
    assert explain([square], HE) == []


def test_equal_predictions_are_all_returned():
    # Twice as many outputs as inputs: swapped fans look like a missing gain.
    right = HE.std_of((128, 64))
    found = explain([case(right / 2**0.5, right, (128, 64))], HE)
    assert [each.kinds[0] for each in found[:2]] == ["fans swapped", "gain missing"]
    assert [each.of_fans for each in found[:2]] == [True, False]


def test_a_known_gain_is_explained():
    assert gain_mistake(1.0, 2.0, 1e-3) == "gain missing"
    assert gain_mistake(4.0, 2.0, 1e-3) == "gain squared"
    assert gain_mistake(2**0.5, 2.0, 1e-3) == "gain under the root"
    assert gain_mistake(3.0, 2.0, 1e-3) == "gain wrong"
    assert gain_mistake(1.0, 1.0, 1e-3) == "gain wrong"


def test_each_pair_of_distributions_has_a_kind():
    for right in (*DISTRIBUTIONS, "other"):
        for found in (*DISTRIBUTIONS, "other"):
            assert wrong_distribution(right, found) in init.FINDINGS
