"""What the checks over the depth find in sequences of layers, worked by hand."""

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from initguide.diagnostics import depth_checks
from initguide.diagnostics.flows import Flows
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.weights import OwnWeight, Weights
from initguide.graph.layer_info import LayerInfo

NOT_GIVEN = object()


def layer(size=1.0, std=None, rms=0.1, zero=False, module=None, given=NOT_GIVEN, **facts):
    """A layer with an output of some rms and std, and inputs of rms and std 1."""
    held = Weights("4 × 4", 100.0, rms, rms, zero, 0, torch.randn(4, 4))
    facts = {"input": (0.0, 1.0, 1.0) if given is NOT_GIVEN else given, "read": None} | facts
    facts = {"units": 4, "entries": 40, "batched": True, "equal": False, "weights": held} | facts
    output = (0.0, size if std is None else std, size)
    return Layer("", module or nn.Linear(4, 4), 0, LayerInfo("relu", "relu"), output, **facts)


def chain(layers):
    """Name the layers by their order, of which each reads the one before, and return the flows."""
    flows = Flows()
    for index, each in enumerate(layers):
        each.name, each.bit = str(index), flows.add_layer(1 << index)
    return flows


def signal(*layers):
    chain(layers)
    return [*depth_checks.signal([*layers])]


def said(found):
    return [(each.kind, each.where) for each in found]


def falling(factor, count, start=0, **facts):
    return [layer(factor**i, **facts) for i in range(1 + start, count + start + 1)]


# The signal.


@pytest.mark.parametrize(
    ("factor", "kind", "words"),
    [
        (0.5, "signal vanishes", "changes by a factor of 0.5 per layer, and by 0.0005 in all"),
        (2.0, "signal explodes", "changes by a factor of 2 per layer, and by 2e+03 in all"),
    ],
)
def test_a_signal_that_shrinks_or_grows_is_found(factor, kind, words):
    # The last layer may be small: eleven others change it to 2048 or 1 / 2048.
    (found,) = signal(*falling(factor, 11), layer())
    assert (found.kind, found.where) == (kind, "0")
    assert found.message == f"from this layer on, the signal {words}"
    assert "Linear before relu has gain 1, and the right gain is 1.41" in found.hint
    # Six are within a factor of 100, and so are those that recover.
    assert not signal(*falling(factor, 6), layer(factor**20))
    assert not signal(*falling(factor, 11), layer(), layer())


def test_one_layer_that_changes_the_signal_is_named():
    (found,) = signal(layer(), layer(), layer(1e-5), *(layer(1e-5) for _ in range(3)))
    assert (found.kind, found.where) == ("signal vanishes", "2")
    assert found.message == (
        "this layer changes the signal by a factor of 1e-05; the 2 layers after it are downstream "
        "of it"
    )
    sizes = (1, 1, 1e3, 1e3, 1e6, 1e6)
    (found,) = signal(*map(layer, sizes))
    assert found.where == "2"
    assert found.message.startswith(
        "this layer changes the signal by a factor of 1e+03 (and 1 more do so); the 2 layers"
    )
    (found,) = signal(layer(), layer(), layer(), layer(1e-5), layer(1e-5), layer())
    assert found.message == "this layer changes the signal by a factor of 1e-05"


def test_sizes_are_relative_to_the_inputs():
    small = (0.0, 1e-3, 1e-3)
    assert not signal(layer(1e-3, given=small), layer(1e-3), layer())
    assert said(signal(layer(1.0, given=small), layer(1.0), layer())) == [("signal explodes", "0")]
    # If they are not measured, to the first output; zeros have no relative size.
    assert not signal(layer(1e-3, given=None), layer(1e-3), layer())
    assert not signal(layer(1.0, given=(0.0, 0.0, 0.0)), layer(1e-3), layer())


def test_a_norm_sets_the_size_anew():
    assert signal(*falling(0.5, 12), layer())
    second = falling(0.5, 6)
    second[0].fresh = True
    assert not signal(*falling(0.5, 6), *second, layer())
    # The size after the norm counts, not that before it.
    third = falling(0.5, 6, start=6)
    third[0].fresh = True
    assert said(signal(*falling(0.5, 6), *third, layer())) == [("signal vanishes", "6")]
    third[0].input = (0.0, 2**-6, 2**-6)
    assert not signal(*falling(0.5, 6), *third, layer())


def test_a_spectral_norm_sets_the_size_as_well():
    middle = layer(0.001, module=spectral_norm(nn.Linear(4, 4)))
    assert middle.has_set_scale
    assert not signal(layer(), middle, layer(0.001), layer())
    assert said(signal(layer(), middle, layer(1e-6), layer())) == [("signal vanishes", "2")]


def test_layers_that_a_signal_leads_around_do_not_count():
    passed = falling(0.5, 11)
    for each in passed:
        each.passed_by = True
    assert not signal(*passed, layer())


def test_each_kind_is_said_once():
    first, second = falling(0.5, 11), falling(0.5, 11)
    second[0].fresh = True
    assert said(signal(*first, *second, layer())) == [("signal vanishes", "0")]
    second = falling(2.0, 11)
    second[0].fresh = True
    found = said(signal(*first, *second, layer()))
    assert found == [("signal vanishes", "0"), ("signal explodes", "11")]


def blocks(factor, count, alone=False):
    """Residual branches; the stream grows by a factor from branch to branch."""
    if alone:
        return [
            layer(0.1, given=(0.0, factor**i, factor**i), branch=i, ends=True, alone=True)
            for i in range(count)
        ]
    return [layer(factor**i, branch=i) for i in range(1, count + 1)]


def test_growth_over_branches_is_that_of_the_sums():
    (found,) = signal(layer(), *blocks(2.0, 10), layer())
    assert (found.kind, found.where, found.hint) == ("residual sums grow", "1", found.hint)
    assert "the right gain" not in found.hint
    # Most of the growth is on the way to the first branch: 128² is more than 256.
    many = [layer(128.0), *(layer(256.0, branch=i) for i in range(5)), layer()]
    assert said(signal(*many)) == [("signal explodes", "0")]
    # Half of the layers, or two of them, are not many.
    few = [*falling(2.0, 8), *(layer(2.0 ** (9 + i), branch=i) for i in range(2)), layer()]
    assert said(signal(*few)) == [("signal explodes", "0")]


def test_a_branch_of_one_layer_is_judged_by_the_sum_that_it_reads():
    # The sums are 1, 2, 4 and so on, and the second one is the first that has grown.
    found = said(signal(layer(), *blocks(2.0, 12, alone=True), layer()))
    assert found == [("residual sums grow", "2")]
    assert not signal(layer(), *blocks(1.0, 12, alone=True), layer())
    # Small sums vanish, although branches may give nothing.
    assert said(signal(layer(), *blocks(0.5, 12, alone=True), layer()))[0][0] == "signal vanishes"
    assert not signal(layer(), *blocks(0.5, 12), layer())


def test_what_does_not_depend_on_the_input_is_no_signal():
    query = layer(1e-4, std=1e-12)
    assert not signal(layer(), query, layer(), layer())
    alone = layer(1e-4, without_inputs=True)
    assert not signal(alone, layer(), layer())
    # Unless nothing after it sees the inputs.
    lost = [layer(1e-4, std=0.0), layer(1e-4, std=0.0), layer(1e-4, std=0.0)]
    assert said(signal(layer(), *lost)) == [("signal vanishes", "1")]


# The input.


def ignored(*layers):
    chain(layers)
    return [*depth_checks.ignored([*layers])]


def test_outputs_that_hardly_vary_ignore_the_input():
    even, last = layer(2.0, std=0.01), layer(std=0.001)
    (found,) = ignored(layer(), layer(std=0.5), even, layer(4.0, std=0.02), last)
    assert (found.kind, found.where, found.severity) == ("input ignored", "2", "error")
    assert found.message == (
        "from this layer on the output hardly depends on the input: at 3 the std over the batch is "
        "0.02, and the rms is 4"
    )
    assert found.hint.startswith("zero the biases; ")
    # The limit is a hundredth of the size, and of the share of the inputs that varies.
    assert not ignored(layer(), layer(std=0.011), layer(std=0.001))
    assert ignored(layer(), layer(std=0.009), layer(std=0.001))
    half = (0.0, 0.5, 1.0)
    assert not ignored(layer(given=half), layer(std=0.006), layer(std=0.001))
    assert ignored(layer(given=half), layer(std=0.004), layer(std=0.001))
    for unknown in (None, (0.0, math.nan, 1.0), (0.0, 0.0, 0.0)):
        assert ignored(layer(given=unknown), layer(std=0.009), layer(std=0.001))
        assert not ignored(layer(given=unknown), layer(std=0.011), layer(std=0.001))


def test_a_layer_that_sees_the_input_again_is_enough():
    assert not ignored(layer(), layer(std=0.001), layer(), layer(std=0.001))
    # So is the last one, as where a gate starts at one.
    assert not ignored(layer(), layer(std=0.001), layer())
    assert ignored(layer(), layer(std=0.001), layer(batched=False))
    assert ignored(layer(), layer(std=0.001), layer(0.0))


def test_tables_single_inputs_and_constants_are_left_out():
    table = layer(std=0.001, module=nn.Embedding(4, 4))
    assert not ignored(layer(), table, layer(std=0.001))
    assert not ignored(layer(), layer(std=0.001, batched=False), layer(std=0.001))
    assert not ignored(layer(), layer(0.0), layer(std=0.001))
    assert not ignored(layer())


def scale(rms, std=1.0):
    module = OwnWeight("w", torch.ones(4), "mul", "scale", None)
    return layer(std=std, module=module, rms=rms, ends=True)


@pytest.mark.parametrize(("rms", "severity"), [(0.009, "warning"), (0.011, "error")])
def test_after_a_small_factor_it_is_perhaps_meant(rms, severity):
    (found,) = ignored(layer(), scale(rms), layer(std=0.001), layer(std=0.001))
    assert (found.where, found.severity) == ("2", severity)
    if severity == "warning":
        assert "the branch before 1, a factor of 0.009, may be the only way" in found.hint
    # A factor that comes later explains nothing.
    (found,) = ignored(layer(), layer(std=0.001), scale(0.009, 0.001), layer(std=0.001))
    assert found.severity == "error"


# The gradient.


def gradient(*layers, within=None):
    flows = chain(layers)
    flows.within.update(within or {})
    return [*depth_checks.gradient([*layers], flows)]


def backward(factor, count, **facts):
    """Layers whose gradients change by a factor from the last to the first."""
    return [layer(gradient=factor ** (count - i), **facts) for i in range(1, count + 1)]


@pytest.mark.parametrize(
    ("factor", "kind", "words"),
    [
        (0.5, "gradient vanishes", "changes by a factor of 0.5 per layer, and by 0.0005 in all"),
        (2.0, "gradient explodes", "changes by a factor of 2 per layer, and by 2e+03 in all"),
    ],
)
def test_a_gradient_that_shrinks_or_grows_is_found(factor, kind, words):
    (found,) = gradient(*backward(factor, 12), layer(gradient=1.0))
    assert (found.kind, found.where) == (kind, "11")
    assert found.message == f"from this layer back, the gradient {words}"
    assert not gradient(*backward(factor, 7), layer(gradient=1.0))
    assert not gradient(layer(gradient=1.0), *backward(factor, 12), layer(gradient=1.0))


def test_norms_allow_gradients_that_grow():
    assert not gradient(*backward(2.0, 14, normed=True), layer(gradient=1.0))
    (found,) = gradient(*backward(2.0, 15, normed=True), layer(gradient=1.0))
    assert found.kind == "gradient explodes"
    assert gradient(*backward(0.5, 12, normed=True), layer(gradient=1.0))
    # Before a norm, the gradient counts relative to the signal.
    small = [layer(0.5**i, gradient=2.0**i, normed=True) for i in range(16, 0, -1)]
    assert not gradient(*small, layer(gradient=1.0))


def test_a_head_of_zeros_and_layers_that_are_passed_by_are_left_out():
    zeros = [layer(gradient=0.0) for _ in range(2)]
    assert not gradient(layer(gradient=1.0), layer(gradient=1.0), *zeros, layer(gradient=1.0))
    (found,) = gradient(*zeros, layer(gradient=1.0), layer(gradient=1.0))
    assert (found.kind, found.where) == ("gradient vanishes", "2")
    assert not gradient(*zeros, *zeros)
    lost = layer(gradient=1e-9, passed_by=True)
    unknown = layer(gradient=None)
    assert not gradient(lost, unknown, *backward(1.0, 3), layer(gradient=1.0))


def test_of_layers_side_by_side_the_largest_gradient_counts():
    layers = [layer(gradient=each) for each in (1e-9, 1.0, 1e-9, 1.0, 1.0, 1.0)]
    flows = Flows()
    for index, each in enumerate(layers):
        # Three layers read the inputs, and each of the others the one before.
        each.name, each.bit = str(index), flows.add_layer(1 if index < 3 else 1 << index)
    assert not [*depth_checks.gradient(layers, flows)]
    layers[1].gradient = 1e-8
    (found,) = depth_checks.gradient(layers, flows)
    assert found.kind == "gradient vanishes"


@pytest.mark.parametrize(("count", "is_found"), [(3, False), (4, True)])
def test_a_branch_of_four_layers_has_a_depth(count, is_found):
    branch = [layer(gradient=100.0 ** (i - count), branch=0) for i in range(count)]
    found = gradient(layer(gradient=1.0), *branch, layer(gradient=1.0), layer(gradient=1.0))
    assert bool(found) == is_found


def test_the_ends_of_branches_are_compared_with_each_other():
    ends = [layer(gradient=0.5**i, branch=i, ends=True) for i in range(12, 0, -1)]
    assert said(gradient(*ends, layer(gradient=1.0))) == [("gradient vanishes", "11")]
    # Those of branches in branches may start small.
    inner = dict.fromkeys(range(1, 13), 20)
    assert not gradient(*ends, layer(gradient=1.0), within=inner)
    # A zero end has no gradient yet.
    zeros = [layer(gradient=0.0, branch=i, ends=True) for i in range(3)]
    assert not gradient(*zeros, layer(gradient=1.0, branch=4, ends=True), layer(gradient=1.0))


def test_a_spectral_norm_ends_the_way_back():
    norm = layer(gradient=1.0, module=spectral_norm(nn.Linear(4, 4)))
    assert not gradient(*backward(0.5, 12), norm, layer(gradient=1.0), layer(gradient=1.0))


@pytest.mark.parametrize(("rms", "severity"), [(0.009, "warning"), (0.011, "error")])
def test_a_gradient_may_be_lost_in_a_small_factor(rms, severity):
    before, after = layer(gradient=1e-5), (layer(gradient=1.0) for _ in range(2))
    (found,) = gradient(before, scale(rms), *after)
    assert (found.where, found.severity) == ("2", severity)
