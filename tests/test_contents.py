"""The content of objects is restored, up to a size."""

import io
import random

import numpy as np
import pytest
import torch

from initguide import _contents
from initguide._contents import Contents


def noted(*values):
    contents = Contents()
    contents.note(*values)
    return contents


OBJECTS = {
    "a list": (lambda: [1, [2]], lambda x: x[1].append(3)),
    "a dict": (lambda: {"a": 1, "b": {2}}, lambda x: (x["b"].add(4), x.pop("a"))),
    "a dict in another order": (lambda: {"a": 1, "b": 2}, lambda x: x.update(a=x.pop("a"))),
    "a set": (lambda: {1, 2}, lambda x: x.clear()),
    "an array": (lambda: np.arange(5), lambda x: x.fill(7)),
    "an array of objects": (lambda: np.array([[1], 2], dtype=object), lambda x: x[0].append(2)),
    "memory": (lambda: bytearray(b"abc"), lambda x: x.__setitem__(0, 0)),
    "text": (lambda: io.StringIO("abc"), lambda x: x.write("xyz")),
    "a tensor": (lambda: torch.arange(5.0), lambda x: x.mul_(2)),
}


@pytest.mark.parametrize(("build", "change"), OBJECTS.values(), ids=OBJECTS)
def test_what_an_object_held_comes_back(build, change):
    value, right = build(), build()
    contents = noted(value)
    change(value)
    contents.close()
    if isinstance(value, io.StringIO):
        value, right = value.getvalue(), right.getvalue()
    assert repr(value) == repr(right)


def test_a_tensor_keeps_its_memory_its_gradient_and_whether_it_needs_one():
    plain, leaf = torch.ones(3), torch.ones(3, requires_grad=True)
    gradient = leaf.grad = torch.full((3,), 2.0)
    memory = plain.data_ptr()
    contents = noted(plain, leaf)
    plain.data, leaf.grad = torch.zeros(3), None
    plain.requires_grad_()
    leaf.requires_grad_(False)
    contents.close()
    assert (plain.data_ptr(), plain.tolist(), plain.requires_grad) == (memory, [1, 1, 1], False)
    assert leaf.requires_grad
    assert leaf.grad is gradient


def test_what_cannot_be_written_is_left_alone():
    fixed = np.array([[1], 2], dtype=object)
    fixed.flags.writeable = False
    contents = noted(fixed, torch.ones(1).expand(3), torch.ones(2, device="meta"))
    fixed[0].append(3)
    contents.close()
    assert fixed[0] == [1]


@pytest.mark.parametrize(
    ("build", "clear"),
    [
        (lambda n: np.ones(n), lambda x: x.fill(0)),
        (lambda n: torch.ones(n), lambda x: x.zero_()),
        (lambda n: bytearray(n * b"\x01"), lambda x: x.__setitem__(slice(None), len(x) * b"\x00")),
    ],
    ids=["an array", "a tensor", "memory"],
)
def test_large_values_that_are_found_later_are_left_alone(monkeypatch, build, clear):
    monkeypatch.setattr(_contents, "LARGE", 10)
    first = build(11)
    contents = noted(first)
    at_limit, above = build(10), build(11)
    for each in (at_limit, above):
        contents.of(each)
    for each in (first, at_limit, above):
        clear(each)
    contents.close()
    assert [int(each[-1]) for each in (first, at_limit, above)] == [1, 1, 0]
    assert all(each is above for each in contents.large)
    assert bool(contents.large) == isinstance(above, torch.Tensor)


def test_all_is_restored_although_one_object_cannot_be():
    class Refuses(random.Random):
        def setstate(self, state):
            raise RuntimeError("it cannot go back")

    first, refuses, last = [1], Refuses(0), [2]
    contents = noted(first, refuses, last)
    for each in (first, last):
        each.clear()
    with pytest.raises(RuntimeError, match="it cannot go back"):
        contents.close()
    assert (first, last) == ([1], [2])
    # Nothing is left to do.
    contents.close()
