"""The checks of heads, factors, siblings and branches, and the loss of a guess, by hand."""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initguide.diagnostics import own_checks, watch
from initguide.diagnostics.flows import Flow, Flows
from initguide.diagnostics.layer import Layer
from initguide.diagnostics.watch import ClassLoss
from initguide.diagnostics.weights import OwnWeight, Weights
from initguide.graph.layer_info import LayerInfo

SOURCE = Flow(sources=0b10)


def layer(name="a", rms=0.1, size=1.0, module=None, **facts):
    tensor, fan_in = torch.randn(4, 4), facts.pop("fan_in", 100.0)
    held = Weights("4 × 4", fan_in, rms, rms, False, 0, facts.pop("tensor", tensor))
    facts = {"input": (0.0, 1.0, 1.0), "read": None, "units": 8, "entries": 80} | facts
    facts = {"bit": 1, "batched": True, "equal": False, "weights": held} | facts
    place, output = LayerInfo(), (0.0, size, size)
    return Layer(name, module or nn.Linear(4, 4), place=place, output=output, **facts)


def own(role, operation="mul"):
    return OwnWeight("w", torch.ones(4), operation, role, None)


def recording(*layers, losses=()):
    flows = Flows()
    for _ in layers:
        flows.add_layer(1)
    return SimpleNamespace(layers=[*layers], losses=[*losses], flows=flows, decays=[])


# The loss of a uniform guess.

LOGITS = torch.linspace(-1, 2, 15).view(3, 5)
TARGET = torch.tensor([0, 4, 2])


def losses_of(call, *args, **kwargs):
    """The loss that is recorded of a call, and that of a guess."""
    record = SimpleNamespace(losses=[])
    watch._loss(record, call.__name__, args, kwargs, [call(*args, **kwargs)], SOURCE)
    return [(each.value.item(), each.guess) for each in record.losses]


def nll(logits, axis=1):
    """The mean loss of the targets, by its definition."""
    logs = logits - logits.exp().sum(axis, keepdim=True).log()
    return -logs.movedim(axis, 1)[torch.arange(3), TARGET].mean().item()


CALLS = {
    "mean": ({}, nll(LOGITS)),
    "sum": ({"reduction": "sum"}, nll(LOGITS)),
    "none": ({"reduction": "none"}, nll(LOGITS)),
}


@pytest.mark.parametrize(("options", "value"), CALLS.values(), ids=CALLS)
def test_the_loss_of_classes_and_that_of_a_guess(options, value):
    ((found, guess),) = losses_of(F.cross_entropy, LOGITS, TARGET, **options)
    assert (found, guess) == pytest.approx((value, math.log(5)))
    ((found, guess),) = losses_of(F.nll_loss, LOGITS.log_softmax(1), TARGET, **options)
    assert (found, guess) == pytest.approx((value, math.log(5)))


def test_a_sum_of_losses_is_divided_by_the_targets_that_count():
    named = {"input": LOGITS, "target": torch.tensor([0, -100, -100]), "reduction": "sum"}
    value = -LOGITS.log_softmax(1)[0, 0].item()
    assert losses_of(F.cross_entropy, **named)[0][0] == pytest.approx(value)
    ignored = torch.tensor([0, 1, 1])
    found = losses_of(F.cross_entropy, LOGITS, ignored, reduction="sum", ignore_index=1)
    assert found[0][0] == pytest.approx(value)
    shares = torch.full((3, 5), 0.2)
    found = losses_of(F.cross_entropy, LOGITS, shares, reduction="sum")
    assert found[0][0] == pytest.approx(-LOGITS.log_softmax(1).mean().item())
    one = losses_of(F.cross_entropy, LOGITS[0], torch.tensor(2))
    assert one[0] == pytest.approx((-LOGITS[0].log_softmax(0)[2].item(), math.log(5)))


def test_without_targets_the_loss_is_that_of_a_class_drawn_at_random():
    value = -LOGITS.log_softmax(-1).mean().item()
    for args, kwargs in (((LOGITS, -1), {}), ((LOGITS,), {"dim": 1})):
        for call in (torch.log_softmax, torch.logsumexp):
            ((found, guess),) = losses_of(call, *args, **kwargs)
            assert (found, guess) == pytest.approx((value, math.log(5)))
    ((found, guess),) = losses_of(torch.log_softmax, LOGITS, 0)
    assert guess == pytest.approx(math.log(3))
    assert losses_of(torch.logsumexp, LOGITS, (0, 1)) == []


def test_a_loss_of_two_classes_is_compared_with_log_2():
    targets = torch.ones(3, 5)
    for options in ({}, {"reduction": "none"}):
        ((value, guess),) = losses_of(
            F.binary_cross_entropy_with_logits, LOGITS, targets, **options
        )
        assert value == pytest.approx((1 + (-LOGITS).exp()).log().mean().item())
        assert guess == math.log(2)
    call = F.binary_cross_entropy_with_logits
    assert losses_of(call, LOGITS, targets, reduction="sum") == []


def test_other_calls_are_no_loss_of_classes():
    assert losses_of(F.mse_loss, LOGITS, LOGITS) == []
    record = SimpleNamespace(losses=[])
    for args, made, flow in (
        ((LOGITS, TARGET), [], SOURCE),
        (([1.0], TARGET), [LOGITS], SOURCE),
        ((torch.tensor(1.0), TARGET), [LOGITS], SOURCE),
        ((LOGITS, TARGET), [LOGITS], Flow()),
        ((), [LOGITS], SOURCE),
    ):
        watch._loss(record, "cross_entropy", args, {}, made, flow)
    assert record.losses == []


@pytest.mark.parametrize(
    ("name", "shape", "role"),
    [
        ("linear", (4, 4), "weight"),
        ("conv_transpose2d", (4, 4), "weight"),
        ("embedding", (4, 4), "table"),
        ("mul", (4,), "scale"),
        ("add", (4, 4), "table"),
        ("add", (4,), "shift"),
        ("add", (1, 1, 4), "shift"),
        ("add", (2, 1, 4), "table"),
        ("sub", (4, 4), "shift"),
        ("cat", (4,), "shift"),
        ("sin", (4,), None),
    ],
)
def test_the_role_of_a_parameter_in_an_operation(name, shape, role):
    assert watch._role(name, torch.ones(shape)) == role


# Activations.


@pytest.mark.parametrize(
    ("name", "options", "values", "share"),
    [
        ("tanh", {}, [-0.98, -0.97, 0, 0.98], 0.5),
        ("sigmoid", {}, [0.012, 0.013, 0.5, 0.988], 0.5),
        ("softsign", {}, [-0.78, -0.77, 0.77, 0.78], 0.5),
        ("hardsigmoid", {}, [0, 0.1, 0.9, 1], 0.5),
        ("hardtanh", {}, [-1, -0.9, 0.9, 1], 0.5),
        ("hardtanh", {"min_val": -2.0, "max_val": 3.0}, [-2, 1, 2.9, 3], 0.5),
    ],
)
def test_the_share_of_saturated_outputs(name, options, values, share):
    one = layer()
    one.place = LayerInfo(name, name)
    record = SimpleNamespace(layers=[one], waiting=[one], scratch=None)
    watch._activation(record, name, options, torch.tensor([values], dtype=torch.float32))
    assert one.saturated.item() == share
    assert record.waiting == []


@pytest.mark.parametrize("name", ["relu", "relu6", "hardtanh"])
def test_the_share_of_zeros_and_the_dead_units(name):
    one = layer(units=3)
    one.place = LayerInfo(name, name)
    record = SimpleNamespace(layers=[one], waiting=[one], scratch=None)
    output = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]])
    options = {"min_val": 0.0, "max_val": 6.0} if name == "hardtanh" else {}
    watch._activation(record, name, options, output)
    assert (one.zeros.item(), one.dead.item()) == (pytest.approx(4 / 6), 1)
    assert record.scratch.numel() == 6
    # Memory that is large enough is used again.
    held = record.scratch
    assert watch._scratch(record, torch.ones(2, 3)).data_ptr() == held.data_ptr()
    assert watch._scratch(record, torch.ones(2, 2)).shape == (2, 2)
    assert watch._scratch(record, torch.ones(7)).numel() == 7


# Heads.


@pytest.mark.parametrize(("value", "found"), [(4.6, False), (4.62, True), (math.inf, False)])
def test_a_first_loss_far_above_that_of_a_guess(value, found):
    loss = ClassLoss(0b100, torch.tensor(value), math.log(5))
    record = recording(layer("a"), layer("head", size=9.0, bit=2), losses=[loss])
    made = [*own_checks.outputs(record)]
    assert bool(made) == found
    if found:
        assert made[0].where == "head"
        assert made[0].message == (
            "the first loss is 4.62, and that of a uniform guess is 1.61: the logits have rms 9"
        )
        assert made[0].hint == (
            "draw the weights with std 0.1, which is 1 / sqrt(fan_in), or smaller"
        )
    unknown = layer("head", size=9.0, bit=2, fan_in=None)
    if found:
        (one,) = own_checks.outputs(recording(layer(), unknown, losses=[loss]))
        assert one.hint == "use smaller weights"


@pytest.mark.parametrize(
    ("given", "hint", "also"),
    [
        (2.9, "draw the weights", ""),
        (3.1, "normalize that signal", ", and this layer reads a signal of rms 3.1"),
    ],
)
def test_a_head_that_reads_a_large_signal(given, hint, also):
    loss = ClassLoss(0b10, torch.tensor(9.0), math.log(5))
    head = layer("head", size=9.0, input=(0.0, given, given))
    (found,) = own_checks.outputs(recording(head, losses=[loss]))
    assert found.hint.startswith(hint)
    assert found.message.endswith(f"rms 9{also}")
    # A signal of a right size that passes a right gain is not understood.
    head = layer("head", size=3.0, input=(0.0, 1.9, 1.9))
    (found,) = own_checks.outputs(recording(head, losses=[loss]))
    assert found.hint.startswith("not understood, because the gain is right")


def test_a_head_that_is_tied_to_an_embedding():
    table = torch.randn(4, 4)
    loss = ClassLoss(0b100, torch.tensor(9.0), math.log(5))
    layers = [layer("table", module=nn.Embedding(4, 4), tensor=table)]
    layers.append(layer("head", 1.0, 9.0, bit=2, tensor=table))
    (found,) = own_checks.outputs(recording(*layers, losses=[loss]))
    words = "; the weight is tied to the embedding table, and has std 1"
    assert found.message.endswith(words)
    layers[0] = layer("table", module=nn.Embedding(4, 4), tensor=table.clone())
    (found,) = own_checks.outputs(recording(*layers, losses=[loss]))
    assert words not in found.message


@pytest.mark.parametrize(
    ("rms", "size", "facts", "found"),
    [
        (1.01, 10.1, {}, True),
        (0.99, 10.1, {}, False),
        (1.01, 9.9, {}, False),
        (1.01, 10.1, {"head": False}, False),
        (1.01, 10.1, {"fan_in": None}, False),
        (1.01, 10.1, {"module": nn.Embedding(4, 4)}, False),
    ],
)
def test_a_head_of_a_gain_above_ten(rms, size, facts, found):
    made = [*own_checks.outputs(recording(layer("head", rms, size, **{"head": True} | facts)))]
    assert [each.kind for each in made] == (["large outputs"] if found else [])


# Factors, siblings and branches.


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({"module": own("scale"), "size": 20.1}, True),
        ({"module": own("scale"), "size": 19.9}, False),
        ({"module": own("scale"), "size": 20.1, "head": True}, False),
        ({"module": own("scale"), "size": 20.1, "input": None}, False),
        ({"module": own("scale"), "size": 20.1, "input": None, "read": 1.0}, True),
        ({"module": own("scale"), "size": math.inf}, False),
        ({"module": own("table", "add"), "rms": 20.1}, True),
        ({"module": own("table", "iadd"), "rms": 19.9}, False),
        ({"module": own("table", "embedding"), "rms": 20.1, "size": 20.1}, False),
        ({"module": own("weight"), "size": 20.1}, False),
        ({"size": 20.1}, False),
    ],
)
def test_a_factor_or_a_table_far_larger_than_the_signal(facts, found):
    made = [*own_checks.factors(recording(layer("a"), layer("b", bit=2, **facts)))]
    assert [(each.kind, each.where) for each in made] == ([("large factor", "b")] if found else [])
    if found:
        assert made[0].message == "this parameter has rms 0.1, and the signal 1" or facts.get("rms")


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        ([1, 1, 1, 25.1], True),
        ([1, 1, 1, 24.9], False),
        ([1, 1, 1, 1 / 25.1], True),
        ([1, 1, 1, 1 / 24.9], False),
        ([1, 1, 26], False),
        ([1, 1, 1, 1, 1, 26, 26], False),
        ([1, 1, 1, 1, 1, 1, 26, 26], True),
    ],
)
def test_a_layer_unlike_its_siblings(sizes, found):
    layers = [layer(str(i), rms) for i, rms in enumerate(sizes)]
    # Others have another shape or no size, and tables are looked up.
    layers += [layer("t", 99.0, module=nn.Embedding(4, 4)), layer("z", 0.0)]
    made = [*own_checks.siblings(layers)]
    assert [each.kind for each in made] == (["odd layer"] if found else [])
    if found:
        odd = next(i for i, size in enumerate(sizes) if size != 1)
        assert made[0].where == str(odd)
        assert made[0].message == (
            f"the weights have rms {sizes[odd]:.2g}, and those of the other {len(sizes) - 1} "
            "layers of this kind and shape have 1"
        )


def ends_of(stds, **facts):
    return [layer(str(i), std, branch=i, ends=True, **facts) for i, std in enumerate(stds)]


@pytest.mark.parametrize(
    ("stds", "lacking"),
    [
        # Eight branches: the factor is 1 / sqrt(8) = 0.354.
        (7 * [0.354] + [1.0], 1),
        (4 * [0.354] + 4 * [1.0], 4),
        (8 * [1.0], 0),
        (7 * [0.354] + [1.19], 0),
        (7 * [0.354] + [0.84], 0),
        (7 * [0.354] + [1.17], 1),
        (7 * [0.354] + [0.86], 1),
        (6 * [0.354] + [0.6, 1.0], 0),
        (6 * [0.354] + [0.45, 1.0], 1),
        (6 * [0.354] + [1.0], 0),
    ],
)
def test_branches_without_the_factor_of_the_others(stds, lacking):
    made = [*own_checks.unscaled_branches(ends_of(stds))]
    assert len(made) == bool(lacking)
    if lacking:
        assert made[0].where == str(next(i for i, s in enumerate(stds) if s > 0.8))
        assert made[0].message == (
            f"{lacking} of 8 branches lack the factor 1 / sqrt(8) that the others have, so the "
            "sums grow"
        )
    # Routers have other widths; tables and layers that end no branch do not count.
    more = [layer("r", 1.0, branch=20, ends=True, units=3), layer("x", 1.0, branch=21)]
    more += [layer("t", 1.0, branch=22, ends=True, module=nn.Embedding(4, 4))]
    assert len([*own_checks.unscaled_branches(ends_of(stds) + more)]) == bool(lacking)


def test_gains_are_compared_where_the_fans_differ():
    wide = ends_of(7 * [0.354])
    last = layer("7", 0.5, branch=7, ends=True, fan_in=400.0)
    (found,) = own_checks.unscaled_branches([*wide, last])
    assert found.where == "7"


@pytest.mark.parametrize(("step", "found"), [(0.99, False), (1.01, True)])
def test_steps_that_forget_the_state(step, found):
    record = recording(layer("a"), layer("b", bit=2))
    record.decays = [("dt.bias", 0b100, torch.tensor(step), torch.tensor(0.25))]
    made = [*own_checks.decays(record)]
    assert [each.where for each in made] == (["dt.bias"] if found else [])
    record.decays = [("", 0b100, torch.tensor(step), torch.tensor(0.25))]
    made = [*own_checks.decays(record)]
    assert [each.where for each in made] == (["b"] if found else [])
    if found:
        assert made[0].message == "the steps have mean 1, and one keeps 0.25 of the state"
