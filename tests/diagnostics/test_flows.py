"""Which layers feed which, and which residual branches their sums give, on graphs by hand.

Layers are numbers from 1 in the order of their first calls, and 0 means the inputs.
"""

import pytest
import torch

from initguide.diagnostics.flows import INPUTS, Flow, Flows, bits


def mask(*layers):
    return sum(2**layer for layer in layers)


def network(*reads):
    """Flows of layers, of which each reads from the layers that are given."""
    flows = Flows()
    for number, sources in enumerate(reads, start=1):
        assert flows.add_layer(mask(*sources)) == number
    return flows


@pytest.mark.parametrize("layers", [(), (0,), (5,), (0, 1, 2), (3, 64, 200)])
def test_the_bits_of_a_mask_are_its_layers(layers):
    assert tuple(bits(mask(*layers))) == layers


def test_the_inputs_have_the_first_bit():
    assert mask(0) == INPUTS


def test_a_tensor_of_unknown_origin_comes_from_the_last_layer():
    flows, x = network(), torch.ones(1)
    assert flows.of(x) == Flow(mask(0))
    flows.add_layer(mask(0))
    flows.add_layer(mask(1))
    assert flows.of(x) == Flow(mask(2))
    flows.known[x] = Flow()
    assert flows.of(x) == Flow()


def test_signals_are_joined_and_parameters_are_ordered_by_size():
    flows = network((0,), (1,))
    a, b, small, large = (torch.ones(size) for size in (3, 3, 2, 5))
    flows.known[a] = Flow(mask(1), normed=True, shift="bias", meaning="size")
    flows.known[b] = Flow(mask(0, 2), normed=True)
    flows.known[small], flows.known[large] = Flow(parameters=("s",)), Flow(parameters=("l",))
    assert flows.join([small, a, large]) == flows.of(a)
    assert flows.join([a, b]) == Flow(mask(0, 1, 2), normed=True)
    flows.known[b] = Flow(mask(0, 2))
    assert flows.join([b, a, small]) == Flow(mask(0, 1, 2))
    assert flows.join([small, large]) == flows.join([large, small]) == Flow(parameters=("l", "s"))
    assert flows.join([]) == Flow()


def test_a_layer_comes_after_all_that_it_reads():
    flows = network((0,), (1,), (0,), (2, 3))
    assert flows.feeds == [0, mask(0), mask(1), mask(0), mask(2, 3)]
    assert flows.ancestors == [0, mask(0), mask(0, 1), mask(0), mask(0, 1, 2, 3)]
    assert flows.followed == mask(0, 1, 2, 3)
    assert not flows.again


def test_a_further_call_adds_what_a_layer_reads():
    flows = network((0,), (1,), (0,))
    flows.call_again(3, mask(2))
    assert flows.feeds[3] == mask(0, 2)
    assert flows.ancestors[3] == mask(0, 1, 2)
    assert flows.followed == mask(0, 1, 2)
    assert not flows.again
    # The first layer now reads the second, which was computed from it: a loop.
    flows.call_again(1, mask(1, 2))
    assert flows.feeds[1] == mask(0, 2)
    assert flows.ancestors[1] == mask(0, 2)
    assert flows.again == mask(1)


SUMS = {
    # The layers, the sums in their order, and the branch of each layer.
    "a branch of two layers": ([(0,), (1,), (2,)], [((1,), (3,))], {2: 0, 3: 0}, (3,)),
    "from the inputs": ([(0,)], [((0,), (1,))], {1: 0}, (1,)),
    "two layers side by side": ([(0,), (0,)], [((1,), (2,))], {}, ()),
    "a skip with one layer": ([(0,), (1,), (2,), (1,)], [((4,), (3,))], {2: 0, 3: 0}, (3,)),
    "one layer on each side": ([(0,), (1,), (1,)], [((2,), (3,))], {}, ()),
    "a skip with two layers": ([(0,), (1,), (2,), (3,), (1,), (5,)], [((6,), (4,))], {}, ()),
    "a skip of two signals": ([(0,), (1,), (2,), (1,), (1,)], [((4, 5), (3,))], {}, ()),
    "a skip from elsewhere": ([(0,), (0,), (1,), (3,), (2,)], [((5,), (4,))], {}, ()),
    "two branches side by side": (
        [(0,), (0,)],
        [((0,), (1,)), ((0, 1), (2,))],
        {1: 0, 2: 1},
        (1, 2),
    ),
    "a sum of three signals": ([(0,), (0,)], [((0, 1), (2,))], {}, ()),
    "a scale and a shift": ([(0,)], [((0, 1), (1,))], {}, ()),
    "a shift beside a branch": ([(0,), (1,), (1,), (3,)], [((2,), (2, 4))], {}, ()),
    "one branch after the other": (
        [(0,), (1,), (1, 2)],
        [((1,), (2,)), ((1, 2), (3,))],
        {2: 0, 3: 1},
        (2, 3),
    ),
    "a branch with two ends": ([(0,), (1,), (1,)], [((1,), (2, 3))], {2: 0, 3: 0}, (2, 3)),
    "an end that skips nothing": ([(0,), (1,), (0,)], [((1,), (2, 3))], {}, ()),
    "no signal": ([(0,)], [((), (1,)), ((1,), ())], {}, ()),
    "a branch in a branch": (
        [(0,), (1,), (2,), (2, 3)],
        [((2,), (3,)), ((1,), (4,))],
        {3: 0, 2: 1, 4: 1},
        (3, 4),
    ),
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_sum_ends_a_branch_if_one_signal_leads_around_the_other(name, turned):
    reads, sums, branches, ends = SUMS[name]
    flows = network(*reads)
    for pair in sums:
        flows.add_sum(*(mask(*side) for side in (pair[::-1] if turned else pair)))
    assert flows.branches == branches
    assert flows.ends == mask(*ends)
    assert flows.within == ({0: 1} if name == "a branch in a branch" else {})


def test_a_layer_in_a_loop_ends_no_branch():
    flows = network((0,), (1,))
    flows.call_again(2, mask(2))
    flows.add_sum(mask(1), mask(2))
    flows.add_sum(mask(2), mask(1))
    assert not flows.branches


@pytest.mark.parametrize(
    ("reads", "branches", "passed"),
    [
        ([(0,), (1,), (1, 2)], {}, {2}),
        ([(0,), (1,), (2,)], {}, set()),
        # The signal around it must come together with its own again.
        ([(0,), (1,), (1,)], {}, set()),
        ([(0,), (1,), (2,), (1, 3)], {}, {2, 3}),
        # What leads around from the inputs is no signal of a layer.
        ([(0,), (0, 1)], {}, set()),
        # Outside of branches every later layer counts; inside, those of the same branch.
        ([(0,), (1,), (1, 2)], {3: 7}, {2}),
        ([(0,), (1,), (1, 2)], {1: 0, 2: 0, 3: 0}, {2}),
        ([(0,), (1,), (1, 2)], {2: 0, 3: 0}, set()),
        ([(0,), (1,), (1, 2)], {1: 0, 2: 0}, set()),
    ],
)
def test_a_signal_may_lead_around_a_layer(reads, branches, passed):
    flows = network(*reads)
    flows.branches.update(branches)
    assert {bit for bit in range(1, len(reads) + 1) if flows.is_passed_by(bit)} == passed
