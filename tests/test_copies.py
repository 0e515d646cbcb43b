"""Private copies hold what their originals hold, and share nothing that a call could change."""

import dataclasses
import itertools
import threading
import weakref
from collections import Counter, OrderedDict, defaultdict, deque

import pytest
import torch
from side_effects_inside import Frozen, Named, Slotted
from torch import nn

from initguide._copies import Copies, private_copy

VALUES = {
    "deque": deque([1, [2]], maxlen=3),
    "ordered": OrderedDict(b=[1], a=2),
    "default": defaultdict(list, {"a": [1]}),
    "counter": Counter("aab"),
    "set": {1, (2, 3)},
    "named": Named([1], 2.0),
    "bytes": bytearray(b"abc"),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_container_keeps_its_class_and_content(name):
    value = VALUES[name]
    new = private_copy(value)
    assert new is not value
    assert type(new) is type(value)
    assert new == value


def test_the_fields_of_a_dataclass_stay_its_fields():
    # `dataclasses.fields` compares marks of the fields by identity.
    @dataclasses.dataclass
    class Output:
        logits: list

    Output.__dataclass_fields__ = private_copy(Output.__dataclass_fields__)
    assert [field.name for field in dataclasses.fields(Output([]))] == ["logits"]


def test_details_of_containers():
    assert private_copy(VALUES["deque"]).maxlen == 3
    assert private_copy(VALUES["default"])["new"] == []
    assert [*private_copy(VALUES["ordered"])] == ["b", "a"]
    frozen = Frozen()
    OrderedDict.__setitem__(frozen, "a", [1])
    assert private_copy(frozen)["a"] == [1]
    assert private_copy(frozen)["a"] is not frozen["a"]
    slotted = Slotted()
    assert private_copy(slotted).items == []
    assert not hasattr(private_copy(slotted), "unset")


def test_one_object_becomes_one_copy():
    inner = [1]
    first, (second, again) = private_copy([inner, (inner, {"a": inner})])
    assert first is second is again["a"]
    endless = [inner]
    endless.append(endless)
    assert private_copy(endless)[1] is not endless
    new = private_copy(endless)
    assert new[1] is new


def test_ties_between_modules_are_kept():
    model = nn.Sequential(nn.Embedding(300, 256), nn.Linear(256, 300, bias=False))
    model[1].weight = model[0].weight
    model.held = weakref.ref(model[0])
    new = private_copy(model)
    assert new[1].weight is new[0].weight
    assert new[1].weight is not model[1].weight
    assert torch.equal(new[0].weight, model[0].weight)
    assert new.held() is new[0]


def test_large_parameters_take_no_memory_if_their_values_are_not_needed():
    model = nn.Linear(2000, 1000, dtype=torch.bfloat16)
    model.bias.requires_grad_(False)
    copies = Copies(values=False)
    new = copies.of(model)
    copies.fill()
    assert new.weight.shape == (1000, 2000)
    assert new.weight.dtype == torch.bfloat16
    assert isinstance(new.weight, nn.Parameter)
    assert new.weight.untyped_storage().nbytes() == 2
    assert new.weight.requires_grad
    assert not new.bias.requires_grad
    # Small ones keep their values: the slope of an activation decides what it computes.
    assert torch.equal(new.bias, model.bias)


def test_iterators_go_on_where_they_are():
    numbers = iter([1, 2, 3])
    next(numbers)
    assert [*private_copy(numbers)] == [2, 3]
    assert [*numbers] == [2, 3]
    pairs = zip([1, 2], itertools.count(5), strict=False)
    next(pairs)
    assert next(private_copy(pairs)) == next(pairs) == (2, 6)


def test_what_cannot_be_copied_is_shared():
    lock, sentinel = threading.Lock(), object()
    assert private_copy([lock])[0] is lock
    assert private_copy([sentinel, torch, len])[1:] == [torch, len]
