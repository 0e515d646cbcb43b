"""Tables and texts of reports, at their edges."""

import math

import pytest
import torch

from initguide._format import _CELL, _shortened, _split, json_ready, markdown_text, table


@pytest.mark.parametrize(
    ("sizes", "width", "parts"),
    [
        ([3], 1, [[0]]),
        ([3, 4], 9, [[0, 1]]),
        # A first column never stands alone.
        ([3, 4], 8, [[0, 1]]),
        ([3, 4, 5], 16, [[0, 1, 2]]),
        ([3, 4, 5], 15, [[0, 1], [0, 2]]),
        ([3, 4, 5, 6], 18, [[0, 1, 2], [0, 3]]),
        ([3, 2, 2, 2, 2], 11, [[0, 1, 2], [0, 3, 4]]),
    ],
)
def test_a_table_that_is_too_wide_is_split_at_columns(sizes, width, parts):
    assert _split(sizes, width) == parts


def test_numbers_are_right_aligned_and_words_are_left_aligned():
    rows = [{"name": "a", "n": 1, "x": None}, {"name": "long", "n": 22.123456, "x": None}]
    assert table(rows, digits=3) == "name     n\na        1\nlong  22.1"


def test_a_long_name_keeps_its_end():
    assert _shortened("x" * _CELL) == "x" * _CELL
    long = _shortened("a" + "x" * _CELL)
    assert long == "…" + "x" * (_CELL - 1)


def test_what_json_cannot_hold_becomes_text():
    held = {1: [math.nan, -math.inf, 2.5, None, True], "a": (1, torch.float32)}
    assert json_ready(held) == {
        "1": ["nan", "-inf", 2.5, None, True],
        "a": [1, "torch.float32"],
    }


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b", "a_b"),
        ("_a", "\\_a"),
        ("a_", "a\\_"),
        ("a|b\n c", "a\\|b c"),
        ("__x__", "\\_\\_x\\_\\_"),
    ],
)
def test_markdown_shows_a_text_as_it_is(text, shown):
    assert markdown_text(text) == shown
