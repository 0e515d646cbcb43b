"""The checks of layers and of training runs, at the edges of their limits."""

import math

import pytest
import torch
from torch import nn

from initguide.diagnostics import layer_checks, training_checks
from initguide.diagnostics.flows import INPUTS, Flow, Flows, bits
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.messages import hidden, more, read_by, remedy, scale, std_of
from initguide.diagnostics.training_history import History, row_of, summary
from initguide.diagnostics.weights import Weights
from initguide.graph.layer_info import LayerInfo

RELU = LayerInfo("relu", "relu")


def weights(rms=0.1, zero=False, copies=0, tensor=None, fan_in=200.0):
    tensor = torch.randn(3, 5) if tensor is None else tensor
    return Weights("3 × 5", fan_in, rms, rms, zero, copies, tensor)


def layer(name="1", output=(0.0, 1.0, 1.0), module=None, bit=1, place=RELU, **facts):
    facts = {"input": (0.0, 1.0, 1.0), "read": None, "units": 100, "entries": 1000} | facts
    facts = {"batched": True, "equal": False, "weights": weights()} | facts
    return Layer(name, module or nn.Linear(2, 2), bit, place, output, **facts)


def said(found):
    return [(each.kind, each.where) for each in found]


# Numbers that are not finite.


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_first_number_that_is_not_finite_is_found(bad):
    fine, last = layer("a", gradient=1.0), layer("c")
    assert not [*layer_checks.non_finite([fine, last], 1.0)]
    assert not [*layer_checks.non_finite([fine, last], None)]
    kind = "non-finite values"
    for broken, words, hint in (
        ({"weights": weights(bad)}, "the weights are NaN or infinite", "initialize this layer"),
        ({"output": (0.0, 1.0, bad)}, "the output is NaN or infinite", ""),
        (
            {"gradient": bad},
            "the gradient at the output is NaN or infinite",
            "look at the operations after this layer",
        ),
    ):
        layers = [fine, layer("b", **broken), layer("c", **broken)]
        (found,) = layer_checks.non_finite(layers, 1.0)
        # The gradient comes from the last layer, all others from the first one.
        where = "c" if "gradient" in broken else "b"
        assert (found.kind, found.where, found.message) == (kind, where, words)
        assert found.hint == hint or not hint
    (found,) = layer_checks.non_finite([fine, layer("b", gradient=bad)], bad)
    assert (found.kind, found.where, found.message) == (kind, "loss", f"the loss is {bad}")
    assert found.hint == "look at the arguments of the loss"


# The inputs.


@pytest.mark.parametrize(
    ("mean", "std", "kinds"),
    [
        (0.0, 31.9, []),
        (0.0, 32.1, ["inputs badly scaled"]),
        (0.0, 1 / 31.9, []),
        (0.0, 1 / 32.1, ["inputs badly scaled"]),
        (2.9, 1.0, []),
        (3.1, 1.0, ["inputs shifted"]),
        (-3.1, 1.0, ["inputs shifted"]),
        (100.0, 10.0, ["inputs badly scaled", "inputs shifted"]),
        (0.0, 0.0, ["inputs badly scaled"]),
    ],
)
def test_the_scale_and_the_mean_of_the_inputs(mean, std, kinds):
    given = (mean, std, math.hypot(mean, std))
    found = [*layer_checks.inputs(layer("a", input=given))]
    assert said(found) == [(kind, "a") for kind in kinds]
    if kinds == ["inputs shifted"]:
        assert found[0].message == f"the inputs have mean {mean:.2g} and std {std:.2g}"
    for known in ({"normed": True}, {"fresh": True}, {"input": None}):
        assert not [*layer_checks.inputs(layer("a", **{"input": given} | known))]


# Layers of zeros, and what sees the inputs.


@pytest.mark.parametrize(
    ("facts", "sees"),
    [
        ({}, True),
        ({"output": (1.0, 0.99e-6, 1.0)}, False),
        ({"output": (1.0, 1.01e-6, 1.0)}, True),
        ({"output": (0.0, math.nan, 1.0), "batched": False}, True),
        ({"output": (0.0, math.nan, 0.0), "batched": False}, False),
        # Of a layer of zeros, the input counts.
        ({"weights": weights(zero=True)}, True),
        ({"weights": weights(zero=True), "input": None}, False),
        ({"weights": weights(zero=True), "input": (0.0, 0.99e-6, 1.0)}, False),
        ({"weights": weights(zero=True), "input": (0.0, 1.01e-6, 1.0)}, True),
        ({"weights": weights(zero=True), "input": (0.0, math.nan, 1.0)}, True),
        ({"weights": weights(zero=True), "input": (0.0, math.nan, 0.0)}, False),
    ],
)
def test_a_layer_sees_inputs_that_differ(facts, sees):
    assert layer_checks.cut_off([layer(**facts)]) == (not sees)
    assert not layer_checks.cut_off([layer(**facts), layer()])
    assert layer_checks.cut_off([])


def test_a_layer_of_zeros_cuts_the_network_unless_a_way_leads_around():
    flows = Flows()
    for above in (INPUTS, 2, 4):
        flows.add_layer(above)
    blind = {"output": (0.0, 0.0, 1.0)}
    zero = {"weights": weights(zero=True)}
    layers = [layer("a"), layer("b", bit=2, **zero), layer("c", bit=3, **blind)]
    assert said(layer_checks.zero(layers, flows)) == [("zero layer", "b")]
    for change in (
        [layers[0], layer("b", bit=2), layers[2]],
        [layers[0], layer("b", bit=2, ends=True, **zero), layers[2]],
        [layers[0], layer("b", bit=2, head=True, **zero), layers[2]],
        [layers[0], layers[1], layer("c", bit=3)],
        [layers[0], layer("b", bit=3, **zero), layer("c", bit=2, **blind)],
        layers[:2],
    ):
        assert not [*layer_checks.zero(change, flows)]


# Units.


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({}, False),
        ({"equal": True}, True),
        ({"equal": True, "units": 1}, False),
        ({"equal": True, "units": 2}, True),
        ({"equal": True, "shuffled": True}, False),
        ({"equal": True, "module": nn.Embedding(3, 2)}, False),
        ({"weights": weights(copies=50)}, False),
        ({"weights": weights(copies=51)}, True),
    ],
)
def test_units_are_symmetric_if_most_are_copies(facts, found):
    made = [*layer_checks.symmetric([layer("a"), layer("b", **facts)])]
    assert said(made) == ([("symmetric units", "b")] if found else [])
    if found:
        both = [layer("b", **facts), layer("c", **facts), layer("d", **facts)]
        (one,) = layer_checks.symmetric(both)
        assert one.message.startswith("the units are copies of each other (and 2 more): they get")


@pytest.mark.parametrize(
    ("units", "dead", "rms", "found"),
    # Four standard errors of a share of one half are 2 / sqrt(units).
    [
        (100, 69, 1.0, False),
        (100, 70, 1.0, True),
        (100, 70, 0.0, False),
        (400, 239, 1.0, False),
        (400, 240, 1.0, True),
        (16, 15, 1.0, False),
        (16, 16, 1.0, True),
        (4, 4, 1.0, False),
        (100, None, 1.0, False),
    ],
)
def test_more_units_are_dead_than_chance_explains(units, dead, rms, found):
    tested = layer("a", units=units, dead=dead, output=(0.0, 1.0, rms))
    assert layer_checks.dead_layers([tested, layer("b")]) == ([tested] if found else [])
    made = [*layer_checks.dead([tested, layer("b")])]
    if found:
        assert made[0].message == f"{dead} of {units} units are zero for every input"


def test_all_units_may_be_dead_if_another_way_leads_to_the_output():
    blind = layer("b", output=(0.0, 0.0, 1.0))
    for dead, units, above, found in (
        (4, 4, [blind], True),
        (4, 4, [], True),
        (3, 4, [blind], False),
        (4, 4, [blind, layer("c")], False),
    ):
        tested = layer("a", units=units, dead=dead, output=(0.0, 0.0, 0.0))
        assert layer_checks.dead_layers([tested, *above]) == ([tested] if found else [])


def test_units_are_saturated_if_most_outputs_are():
    assert not [*layer_checks.saturated([layer("a", saturated=0.5), layer("b")])]
    tanh = LayerInfo("tanh", "tanh")
    (found,) = layer_checks.saturated([layer("a", saturated=0.51, place=tanh)])
    assert found.kind == "saturated units"
    words = "51% of the outputs of tanh are saturated: the slope there is nearly zero"
    assert found.message == words


def test_weights_of_two_layers_are_equal_bit_for_bit():
    drawn = torch.randn(3, 5)
    twins = [layer("a", weights=weights(tensor=drawn)), layer("b")]
    twins.append(layer("c", weights=weights(tensor=drawn.clone())))
    (found,) = layer_checks.cloned(twins)
    assert (found.where, found.message) == ("c", "the weights are those of a, bit for bit")
    # The same memory, constants of two values, and frozen layers are none.
    twins[2] = layer("c", weights=weights(tensor=drawn))
    assert not [*layer_checks.cloned(twins)]
    two = torch.eye(4)
    few = [layer(name, weights=weights(tensor=two.clone())) for name in "ab"]
    assert not [*layer_checks.cloned(few)]
    frozen = nn.Linear(2, 2).requires_grad_(False)
    same = [layer(n, module=frozen, weights=weights(tensor=drawn.clone())) for n in "ab"]
    assert not [*layer_checks.cloned(same)]


# Messages.


def test_what_layers_read_and_keep():
    assert std_of(layer(output=(0.0, 2.0, 3.0))) == 2
    assert std_of(layer(output=(0.0, 2.0, 3.0), batched=False)) == 3
    assert read_by(layer(input=(0.0, 1.0, 4.0), read=5.0)) == 4
    assert read_by(layer(input=None, read=5.0)) == 5
    layers = [layer("a"), layer("b", head=True), layer("c", ends=True)]
    layers += [layer("d", weights=weights(zero=True)), layer("e"), layer("f")]
    assert [each.name for each in hidden(layers)] == ["a", "e"]
    assert [more([1] * n) for n in (1, 2, 5)] == ["", " (and 1 more)", " (and 4 more)"]


def of_gain(gain, **facts):
    return layer(weights=weights(rms=gain / 200**0.5), **facts)


def test_the_gain_is_advised_where_it_is_known_and_wrong():
    advice = "Linear before relu has gain {}, and the right gain is 1.41: use initialize_ or a"
    right = "not understood, because the gain of this layer is right: see"
    for gain, words in (
        (1.0, advice.format("1")),
        (2**0.5 * 1.06, advice.format("1.5")),
        (2**0.5 * 0.94, advice.format("1.3")),
        (2**0.5 * 1.04, right),
        (2**0.5 * 0.96, right),
    ):
        assert scale(of_gain(gain)).startswith(words)
        assert remedy(of_gain(gain)).startswith(words)
        first = "zero the biases" if words == right else f"zero the biases; {words}"
        assert remedy(of_gain(gain), "zero the biases").startswith(first)
    assert remedy(of_gain(2**0.5), "zero the biases") == "zero the biases"
    assert scale(of_gain(0.3, ends=True)).startswith("not understood, because a layer that ends")
    assert scale(of_gain(3.0, ends=True)).startswith(advice.format("3"))


def test_where_no_gain_is_known_the_reason_is_said():
    def own(label, **facts):
        return scale(of_gain(1.0, place=LayerInfo("relu", label, **facts)))

    assert own("mine") == (
        "not understood, because no gain is derived for mine: see guide/best-practices.md"
    )
    assert "the activation that follows is not known" in own("relu", note="it is not traced")
    assert "for a sine, use the recipe 'siren'" in scale(
        of_gain(1.0, place=LayerInfo(torch.sin, "sin"))
    )
    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4))
    assert "its spectral norm sets its scale" in scale(of_gain(1.0, module=normed))

    class Mine(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    assert "the forward of Mine is its own" in scale(of_gain(1.0, module=Mine(2, 2)))
    table = of_gain(1.0, module=nn.Embedding(3, 2))
    assert scale(table) == "use initialize_ or a normalization"
    sigmoid = of_gain(1.0, place=LayerInfo("sigmoid", "sigmoid"))
    assert remedy(sigmoid).startswith("no gain removes the mean of a sigmoid")


# Flows between layers.


@pytest.mark.parametrize("mask", [0, 1, 2, 0b1011, 1 << 70 | 1 << 3])
def test_bits_are_the_positions_of_ones(mask):
    assert [*bits(mask)] == [i for i in range(80) if mask >> i & 1]


def test_layers_know_what_feeds_them_and_what_is_before_them():
    flows = Flows()
    assert [flows.add_layer(sources) for sources in (INPUTS, 0b10, 0b101)] == [1, 2, 3]
    assert flows.feeds == [0, 1, 0b10, 0b101]
    assert flows.ancestors == [0, 1, 0b11, 0b111]
    assert flows.followed == 0b111
    # A further call with its own output, and with that of another layer.
    flows.call_again(1, 0b1010)
    assert flows.feeds[1] == 0b1001
    assert flows.ancestors[1] == 0b1101
    assert flows.again == 0b10
    flows.call_again(3, 0b1)
    assert flows.again == 0b10


def test_the_flow_of_a_result_joins_those_of_its_inputs():
    flows = Flows()
    flows.add_layer(INPUTS)
    flows.add_layer(0b10)
    one, two, small, large = (torch.ones(n) for n in (1, 2, 3, 4))
    flows.known[one] = Flow(0b1, normed=True)
    flows.known[two] = Flow(0b10, normed=True)
    flows.known[small], flows.known[large] = Flow(parameters=("s",)), Flow(parameters=("l",))
    assert flows.of(torch.ones(1)) == Flow(0b100)
    assert flows.join([one, small]) is flows.known[one]
    assert flows.join([one, two]) == Flow(0b11, normed=True)
    flows.known[two] = Flow(0b10)
    assert flows.join([one, two]) == Flow(0b11)
    assert flows.join([small, large]) == Flow(parameters=("l", "s"))
    assert flows.join([]) == Flow()


def block(flows, source):
    """Add two layers after a source, and the sum with it; return the mask of the sum."""
    first = flows.add_layer(source)
    last = flows.add_layer(1 << first)
    flows.add_sum(1 << last, source)
    return source | 1 << last


def test_residual_sums_make_branches():
    flows = Flows()
    stream = block(flows, 1 << flows.add_layer(INPUTS))
    block(flows, stream)
    first, _, second, _ = (flows.branches[bit] for bit in (2, 3, 4, 5))
    assert flows.branches == {2: first, 3: first, 4: second, 5: second}
    assert first != second
    assert flows.ends == 1 << 3 | 1 << 5
    assert not flows.within


def test_a_sum_inside_a_branch_makes_an_inner_branch():
    flows = Flows()
    start = 1 << flows.add_layer(INPUTS)
    inner = block(flows, 1 << flows.add_layer(start))
    last = flows.add_layer(inner)
    flows.add_sum(start, 1 << last)
    small, large = flows.branches[3], flows.branches[2]
    assert flows.branches == {3: small, 4: small, 2: large, 5: large}
    assert flows.within == {small: large}


def test_other_sums_make_no_branches():
    flows = Flows()
    one, two = flows.add_layer(INPUTS), flows.add_layer(INPUTS)
    for sources in ((1 << one, 1 << two), (0, 1 << one), (1 << one, 0), (1 << one, 1 << one)):
        flows.add_sum(*sources)
        assert not flows.branches
    # A skip may hold one layer if the branch holds more.
    first = flows.add_layer(INPUTS)
    flows.add_sum(1 << one, 1 << flows.add_layer(1 << first))
    assert flows.branches == {3: 0, 4: 0}
    flows.again |= 1 << 1
    flows.add_sum(1 << 1, 1 << flows.add_layer(1 << 1))
    assert flows.branches == {3: 0, 4: 0}


def test_a_signal_may_lead_around_a_layer():
    flows = Flows()
    for sources in (INPUTS, 0b10, 0b110):
        flows.add_layer(sources)
    # The third layer reads the first and the second: the second is passed by.
    assert [flows.is_passed_by(bit) for bit in (1, 2, 3)] == [False, True, False]
    chain = Flows()
    for sources in (INPUTS, 0b10, 0b100):
        chain.add_layer(sources)
    assert not any(chain.is_passed_by(bit) for bit in (1, 2, 3))


# Training.


def history(start, end=None, losses=(1.0, 0.5), **facts):
    rows = {each.name: facts.pop("rows", {}).get(each.name, []) for each in start}
    return History(10, rows, [*losses], start=start, end=end or start, **facts)


def row(step, update, size=1.0, name="a"):
    return {"layer": name, "step": step, "update": update, "weight_rms": size}


@pytest.mark.parametrize(
    ("update", "size", "fan_in", "found"),
    [
        (0.29, 1.0, 200.0, False),
        (0.31, 1.0, 200.0, True),
        (0.29, 1.0, None, False),
        (0.31, 1.0, None, True),
        # Small weights may grow to 1 / sqrt(fan_in) = 0.1, or to one.
        (2.9, 0.01, 100.0, False),
        (3.1, 0.01, 100.0, True),
        (29, 0.01, None, False),
        (31, 0.01, None, True),
    ],
)
def test_a_step_that_replaces_weights_is_too_large(update, size, fan_in, found):
    layers = [layer("a", weights=weights(fan_in=fan_in)), layer("b")]
    run = history(layers, rows={})
    run.rows["a"] = [row(0, None), row(1, 0.01), row(2, update, size), row(3, 99.0)]
    run.rows["b"] = [row(0, 99.0, name="b")]
    made = [*training_checks._too_large(run)]
    if found:
        (one,) = made
        assert (one.kind, one.where) == ("updates too large", "a")
        size_words = f"{update * size:.2g} (rms), and they had rms {size:.2g} before"
        assert one.message == f"step 2 changes the weights by {size_words}"
    else:
        assert "step 3" in made[0].message
    layers[0].head = True
    assert not [*training_checks._too_large(run)]


@pytest.mark.parametrize(
    ("largest", "learned", "found"),
    [(0.99e-5, 0, True), (1.01e-5, 0, False), (0.0, 0, True), (0.99e-5, 1, False)],
)
def test_updates_are_too_small_if_no_step_moves_weights(largest, learned, found):
    parameter = nn.Parameter(torch.ones(2, 2))
    run = history([layer("a")], weights={"a": [parameter]}, learned={parameter: learned})
    run.rows["a"] = [row(0, largest / 2), row(1, largest), row(2, None)]
    made = [*training_checks._too_small(run, {id(parameter)})]
    assert said(made) == ([("updates too small", "a")] if found else [])
    if found and largest:
        assert made[0].message == (
            "no step changes the weights by more than 1e-05 of their size, so a change of 10 % "
            "takes at least 1e+04 steps"
        )
    assert not [*training_checks._too_small(run, set())]


@pytest.mark.parametrize(
    ("losses", "found"), [((1.0, 2.9), False), ((1.0, 3.1), True), ((0.0, 9.0), False)]
)
def test_a_loss_that_grows_three_times_diverges(losses, found):
    made = [*training_checks._grows(history([layer()], losses=losses))]
    assert said(made) == ([("training diverges", "loss")] if found else [])
    if found:
        words = "the loss on the first batch grows from 1 to 3.1 in 10 steps"
        assert made[0].message == words


@pytest.mark.parametrize(
    ("start", "end", "found"),
    [
        (1.0, 9.9, False),
        (1.0, 10.1, True),
        (1.0, 1 / 9.9, False),
        (1.0, 1 / 10.1, True),
        (0.0, 99.0, False),
        (99.0, 0.0, False),
    ],
)
def test_a_signal_drifts_by_a_factor_of_ten(start, end, found):
    def at(size, **facts):
        return [layer("a", output=(0.0, 1.0, size), **facts), layer("b")]

    made = [*training_checks._drifts(history(at(start), at(end)))]
    assert said(made) == ([("signal drifts", "a")] if found else [])
    for facts in ({"normed": True}, {"head": True}, {"ends": True}):
        assert not [*training_checks._drifts(history(at(start, **facts), at(end)))]


def test_a_row_has_the_numbers_of_its_layer():
    made = row_of(3, 0.5, layer("a", (0.1, 2.0, 4.0), gradient=6.0, entries=9, dead=25), (2.0, 0.5))
    assert made == {
        "layer": "a", "kind": "Linear", "step": 3, "loss": 0.5, "rms": 4.0, "std": 2.0,
        "gradient_rms": 2.0, "dead": 0.25, "weight_rms": 2.0, "update": 0.25,
    }  # fmt: skip
    bare = row_of(3, 0.5, layer("", (0.1, 2.0, 4.0), batched=False), None)
    missing = {key for key, value in bare.items() if value is None}
    assert missing == {"std", "gradient_rms", "dead", "weight_rms", "update"}
    assert bare["layer"] == "model"
    assert row_of(0, 0.5, layer(), (0.0, 0.5))["update"] is None
    last = made | {"rms": 8.0, "update": 0.75, "dead": 0.5}
    assert summary([made, bare, last]) == {
        "layer": "a", "kind": "Linear", "update": 0.5, "largest": 0.75, "rms_first": 4.0,
        "rms_last": 8.0, "drift": 2.0, "dead_first": 0.25, "dead_last": 0.5,
    }  # fmt: skip
    assert summary([bare | {"rms": 0.0}])["drift"] is None
    assert summary([bare])["largest"] is None
