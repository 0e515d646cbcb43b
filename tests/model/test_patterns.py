"""Patterns in values that a random draw does not leave, at the edges of their limits."""

import math

import numpy as np
import pytest
import torch

from initguide.model.patterns import can_be_read, looks_unwritten, part_of, pattern

IDENTITY = "near the identity"


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def seen(values):
    tensor = torch.as_tensor(values)
    return pattern(tensor, part_of(tensor))


@pytest.mark.parametrize("size", [16, 30, 100, 400])
def test_a_diagonal_is_seen_beyond_eight_standard_errors(size):
    values = np.random.default_rng(0).normal(size=(size, size))
    np.fill_diagonal(values, 0.0)
    # The part that is looked at has at most 16 rows and columns.
    part = min(size, 16)
    for factor, right in ((7.0, False), (-7.0, False), (13.0, True), (-13.0, True)):
        matrix = values + factor / part**0.5 * np.eye(size)
        assert (seen(matrix) == IDENTITY) == right
        assert (seen(0.001 * matrix) == IDENTITY) == right


def test_a_small_matrix_or_a_vector_has_no_diagonal():
    assert seen(noise(15, 40) + 9 * torch.eye(15, 40)) != IDENTITY
    assert seen(noise(40, 15) + 9 * torch.eye(40, 15)) != IDENTITY
    assert seen(9 + noise(256)) != IDENTITY


def test_a_diagonal_is_measured_by_the_std_of_all_values():
    # Zeros beside a diagonal of d: the std is d sqrt(15) / 16, so that 4 d is 16.5 of them.
    assert seen(torch.eye(16)) == IDENTITY
    # With signs of size s beside it: 4 d = 8 sqrt((d² + 15 s²) / 16 - (d / 16)²).
    signs = torch.tensor(np.where(np.add.outer(range(16), 3 * np.arange(16)) % 2, -1.0, 1.0))
    signs += 1e-6 * noise(16, 16)
    signs.fill_diagonal_(0)
    for size, right in ((0.44, True), (0.455, False)):
        mean = (size * signs).mean() + 1 / 16
        std = ((1 + 15 * size**2) / 16 - mean**2).sqrt()
        assert (4 / std > 8) == right
        assert (seen(torch.eye(16) + size * signs) == IDENTITY) == right


# What can be read, and which part.


def test_only_real_numbers_that_are_here_can_be_read():
    assert can_be_read(torch.ones(1))
    assert can_be_read(torch.ones(2, dtype=torch.bfloat16))
    for other in (
        torch.ones(2, device="meta"),
        torch.ones(2, dtype=torch.int64),
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2).to(torch.float8_e4m3fn),
        torch.ones(2, 2).to_sparse(),
        torch.ones(0),
    ):
        assert not can_be_read(other)


def test_the_part_is_the_first_16_rows_and_columns():
    values = torch.arange(40 * 30.0).view(40, 30)
    np.testing.assert_array_equal(part_of(values), values[:16, :16])
    np.testing.assert_array_equal(part_of(values[:5, :7]), values[:5, :7])
    kernel = values.view(40, 5, 2, 3)
    np.testing.assert_array_equal(part_of(kernel), values[:16, :16])
    line = torch.arange(5000.0)
    np.testing.assert_array_equal(part_of(line), line[:4096])
    np.testing.assert_array_equal(part_of(torch.tensor(3.0)), [3.0])
    assert part_of(values.half()).dtype == np.float64


PADDED = [
    (rows, row)
    for rows in (40, 17, 16, 9)
    for row in (None, 0, 3, 16, 17, 39, -1, -40)
    if row is None or -rows <= row < rows
]


@pytest.mark.parametrize(("rows", "row"), PADDED)
def test_the_part_leaves_a_row_of_padding_out(rows, row):
    values = torch.arange(rows * 30.0).view(rows, 30)
    kept = values if row is None else np.delete(values.numpy(), row, axis=0)
    np.testing.assert_array_equal(part_of(values, row), kept[:16, :16])


# Patterns.


@pytest.mark.parametrize(
    ("dtype", "few"),
    # Of the numbers that may be equal by chance: the digits of the others must be below 6.
    [(torch.float64, 1), (torch.float32, 1), (torch.float16, 2), (torch.bfloat16, 3)],
)
def test_equal_values_are_a_pattern_unless_rounding_explains_them(dtype, few):
    for count in range(1, 6):
        words = "" if count <= few else "all 0.5"
        assert seen(torch.full((count,), 0.5, dtype=dtype)) == words
        assert seen(torch.zeros(count, dtype=dtype)) == "all zero"
    assert seen(torch.full((3, 4), -2.0, dtype=dtype)) == "all -2"
    assert seen(torch.ones(0, dtype=dtype)) == ""


def test_equal_values_in_the_part_count_in_the_whole():
    for length, words in ((4 * 4096, ""), (4 * 4096 - 1, "few different values")):
        values = noise(length)
        values[:4096] = 3
        assert seen(values) == words


def test_fewer_than_12_values_have_no_order():
    assert seen(torch.arange(11.0)) == ""
    assert seen(torch.arange(12.0)) == "values in order"


@pytest.mark.parametrize(("zeros", "words"), [(0, ""), (25, ""), (26, "many zeros")])
def test_more_than_a_quarter_of_zeros_is_a_pattern(zeros, words):
    values = noise(100)
    values[torch.arange(zeros) * 3] = 0
    assert seen(values) == words


@pytest.mark.parametrize(
    ("dtype", "count", "least"),
    # 0.6 of the values; in half precision an eighth, and at most 64.
    [
        (torch.float32, 100, 60),
        (torch.float64, 100, 60),
        (torch.float16, 96, 12),
        (torch.bfloat16, 96, 12),
        (torch.bfloat16, 1000, 64),
        (torch.bfloat16, 512, 64),
    ],
)
def test_few_different_values_are_a_pattern(dtype, count, least):
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(1))
    for different, words in ((least, ""), (least - 1, "few different values")):
        values = 1 + shuffled % different
        assert seen(values.to(dtype)) == words


def monotone(*directions):
    """Rows of 12 numbers that rise or fall, in irregular steps and with large offsets."""
    steps = np.random.default_rng(0).exponential(size=(len(directions), 12))
    return np.cumsum(steps * np.array(directions)[:, None], axis=1)


def test_rows_or_columns_in_order_are_a_pattern():
    scramble = np.random.default_rng(2).permutation(12)
    for matrix in (monotone(1, 1), monotone(-1, -1), monotone(1, -1, 1)):
        for each in (matrix, matrix.T):
            assert seen(each) == "values in order"
        assert seen(matrix[:, scramble]) != "values in order"
        one_off = matrix.copy()
        one_off[-1, [4, 9]] = one_off[-1, [9, 4]]
        assert seen(one_off) != "values in order"
    # Equal neighbors do not break an order, and eleven values have none.
    repeated = np.repeat(monotone(1)[0], 2)[:15]
    repeated[[2, 6, 10]] += 1e-9
    assert seen(np.sort(repeated)) == "values in order"
    assert seen(monotone(1, -1, 1)[:, :11]) != "values in order"


def wave(count, correlation, columns=1):
    """A sine whose neighbors have a correlation."""
    return np.sin(math.acos(correlation) * np.arange(count))[:, None] * np.ones(columns)


@pytest.mark.parametrize("size", [1000, 4000])
def test_neighbors_may_be_alike_by_chance(size):
    limit = 0.5 + 3 / math.sqrt(size)
    for off, words in ((-0.02, ""), (0.02, "smooth values")):
        assert seen(wave(size, limit + off)[:, 0]) == words
        assert seen(5 + 0.01 * wave(size, limit + off)[:, 0]) == words


def test_neighbors_in_rows_or_columns_are_compared():
    # 256 values: the limit is 0.6875.
    for correlation, words in ((0.6, ""), (0.8, "smooth values")):
        lines = wave(16, correlation, 16) * (1 + 0.1 * np.random.default_rng(0).random((1, 16)))
        lines *= np.where(np.arange(16) % 2, 1, -1)
        lines -= lines.mean()
        for each in (lines, lines.T):
            assert seen(each) == words


def test_sixty_four_values_are_too_few_to_be_smooth():
    assert seen(wave(64, 0.95)[:, 0]) == ""
    assert seen(wave(65, 0.95)[:, 0]) == "smooth values"


@pytest.mark.parametrize(
    ("value", "unwritten"),
    [
        (0.0, False),
        (0.99e8, False),
        (-0.99e8, False),
        (1.01e8, True),
        (-1.01e8, True),
        (math.inf, True),
        (math.nan, True),
        (1.2e-38, False),
        (1.1e-38, True),
        (-1.1e-38, True),
    ],
)
def test_memory_that_nothing_was_written_to_has_impossible_sizes(value, unwritten):
    part = np.array([0.0, 1.0, value, -2.0])
    assert looks_unwritten(part, torch.float32) == unwritten
    # The least normal number of a double is far smaller.
    assert looks_unwritten(part, torch.float64) == (unwritten and not abs(value) < 1)
