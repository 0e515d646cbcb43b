"""The tensors in containers and objects."""

from collections import OrderedDict, deque
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from initguide._tree import argument_tensors, dequantized, is_quantized, tensors

A, B, C = (torch.full((2,), float(i)) for i in range(3))


@dataclass
class Output:
    first: Any
    second: Any


class Slotted:
    __slots__ = ("empty", "held")

    def __init__(self, held):
        self.held = held


class Both(Slotted):
    def __init__(self, held, own):
        super().__init__(held)
        self.own = own


LOOP = [A]
LOOP.append(LOOP)
PACKED = pack_sequence([torch.ones(2, 3), torch.ones(1, 3)])
HELD = {
    "a tensor": (A, [A]),
    "a list": ([A, B, C], [A, B, C]),
    "a tuple in a list": ([A, (B, [C])], [A, B, C]),
    "a mapping": (OrderedDict(x=A, y=[B], z=3), [A, B]),
    "a queue": (deque([A, B]), [A, B]),
    "a set": ({A}, [A]),
    "an object": (Output(A, SimpleNamespace(x=B, y=C)), [A, B, C]),
    "slots": (Slotted(A), [A]),
    "slots and attributes": (Both(A, B), [B, A]),
    "twice": ([A, A, (A,)], [A, A, A]),
    "one list twice": ([LOOP[:1]] * 2, [A]),
    "a loop": (LOOP, [A]),
    "packed": (PACKED, [PACKED.data]),
    "numbers and words": ([1, 2.0, 3j, "x", b"x", None, int, True, A], [A]),
    "a module": ([nn.Linear(2, 2), lambda: A, torch], []),
    "nothing": ((), []),
}


@pytest.mark.parametrize(("value", "expected"), HELD.values(), ids=HELD)
def test_the_tensors_are_found_in_order(value, expected):
    found = tensors(value)
    assert len(found) == len(expected)
    assert all(one is other for one, other in zip(found, expected, strict=True))


def test_a_tensor_has_the_number_or_the_name_of_its_argument():
    found = argument_tensors((A, 3, [B, C]), {"mask": A, "scale": 2.0})
    assert [(name, int(tensor[0])) for name, tensor in found] == [
        ("0", 0),
        ("2", 1),
        ("2", 2),
        ("'mask'", 0),
    ]


@pytest.mark.parametrize(
    ("dtype", "quantized"),
    [
        (torch.float32, False),
        (torch.float16, False),
        (torch.bfloat16, False),
        (torch.complex64, False),
        (torch.float8_e4m3fn, True),
        (torch.int8, True),
        (torch.bool, True),
        (torch.int64, True),
    ],
)
def test_integers_and_floats_of_one_byte_are_quantized(dtype, quantized):
    tensor = torch.ones(3).to(dtype)
    assert is_quantized(tensor) == quantized
    real = dequantized(tensor)
    assert (real is tensor) != quantized
    assert real.dtype == (torch.float32 if quantized else dtype)
