"""The checks of special structure, on matrices worked by hand and at the edges of their limits."""

import math

import numpy as np
import pytest
import scipy.stats
import torch

from initguide.testing import structure
from initguide.testing.draws import LIMIT, Draws

P = 2 * scipy.stats.norm.sf(LIMIT)


def draws(*values, own=None):
    made = [torch.as_tensor(each, dtype=torch.float64) for each in values]
    return Draws(tuple(made[0].shape), own or tuple(made[0].shape), made)


def said(findings):
    return [(each.kind, each.message) for each in findings]


# Fixed values.

EYE = torch.eye(2, 3, dtype=torch.float64)
FIXED = {
    "equal": (EYE, EYE, []),
    "in other places": (
        EYE.flip(0),
        EYE,
        [
            (
                "identity misplaced",
                "each one must be in its place; 4 of 6 values are not at shape (2, 3)",
            )
        ],
    ),
    "one entry": (
        [[1, 0, 0], [0, 1, 0.25]],
        EYE,
        [
            (
                "wrong values",
                "entry (1, 2) of (out, in, *kernel) must be 0; got 0.25, and 1 of 6 values are"
                " wrong at shape (2, 3)",
            )
        ],
    ),
    "no gain": (
        EYE,
        EYE / 2,
        [
            (
                "gain missing",
                "entry (0, 0) of (out, in, *kernel) must be 0.5; got 1, and 2 of 6 values are"
                " wrong at shape (2, 3)",
            )
        ],
    ),
    "another constant": (
        [1.0, 1.0],
        [0.1, 0.1],
        [
            (
                "wrong values",
                "entry (0,) of (out, in, *kernel) must be 0.1; got 1, and 2 of 2 values are"
                " wrong at shape (2,)",
            )
        ],
    ),
}


@pytest.mark.parametrize(("found", "right", "findings"), FIXED.values(), ids=FIXED)
def test_fixed_values_are_compared_one_by_one(found, right, findings):
    assert said(structure.compare_fixed([draws(found)], [draws(right)])) == findings
    # The first shape that is wrong speaks.
    both = structure.compare_fixed([draws(EYE), draws(found)], [draws(EYE), draws(right)])
    assert said(both) == findings


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize(("part", "found"), [(0.9, 0), (1.1, 1)])
def test_fixed_values_may_be_off_by_a_millionth(sign, part, found):
    right = torch.tensor([[5.0, -2.0], [0.0, 0.0]], dtype=torch.float64)
    relative = right * (1 + sign * part * 1e-6)
    assert len(structure.compare_fixed([draws(relative)], [draws(right)])) == found
    # Beside zero, a thousandth of the largest value counts as the value.
    near_zero = right.clone()
    near_zero[1, 1] = sign * part * 5e-9
    assert len(structure.compare_fixed([draws(near_zero)], [draws(right)])) == found


@pytest.mark.parametrize(
    ("factor", "kind"),
    [
        (1.9975, "wrong values"),
        (1.9985, "gain missing"),
        (2.0015, "gain missing"),
        (2.0025, "wrong values"),
        (3, "wrong values"),
    ],
)
def test_a_gain_is_missing_if_the_largest_value_is_one(factor, kind):
    (found,) = structure.compare_fixed([draws(factor * EYE / 2)], [draws(EYE / 2)])
    assert found.kind == kind


def test_a_gain_is_not_missing_if_entries_have_several_factors():
    found = [[1.0, 0, 0], [0, 2.0, 0]]
    (one,) = structure.compare_fixed([draws(found)], [draws(EYE / 2)])
    assert one.kind == "wrong values"


# Equal blocks.


@pytest.mark.parametrize(
    ("letters", "block"),
    [
        ("aabbcc", 2),
        ("aaabbb", 3),
        ("aaaabb", 2),
        ("aabbbb", 2),
        ("abcdef", 1),
        ("aaaaaa", 1),
        ("abbcc", 1),
        ("aab", 1),
        ("a", 1),
    ],
)
def test_a_block_is_the_number_of_consecutive_outputs_that_are_equal(letters, block):
    rows = [[ord(letter), 1.0] for letter in letters]
    assert structure.block_of(draws(rows)) == block
    # Of a kernel, all entries count.
    assert structure.block_of(draws([[[1.0, 2.0], row] for row in rows])) == block


@pytest.mark.parametrize(
    ("letters", "got"),
    [
        ("aabbcc", None),
        ("abcdef", "none are"),
        ("abcabc", "output 0 equals 3"),
        ("aabaaa", "output 0 equals 1, 3, 4, 5"),
    ],
)
def test_outputs_of_a_block_must_be_equal(letters, got):
    rows = [[[ord(letter), 1.0]] for letter in letters]
    message = f"outputs 0 to 1 must be equal at shape (1, 2, 3); {got}"
    want = [] if got is None else [("blocks misplaced", message)]
    assert said(structure.compare_blocks(draws(rows, own=(1, 2, 3)), 2)) == want


# Zeros.


def test_zeros_at_fixed_places_are_those_of_every_draw():
    right = draws([[1, 0, 0], [0, 2, 0]], [[3, 0, 0], [0, 0, 0]])
    assert structure.compare_places(draws([[7, 0, 0], [0, 8, 0]]), right) == []
    message = "2 entries, at fixed places, must not be zero; 3 are not, {} of them wrong or missing"
    one = draws([[7, 0, 1], [0, 8, 0]], [[7, 0, 0], [0, 8, 0]])
    kind, text = said(structure.compare_places(one, right))[0]
    assert kind == "zeros misplaced"
    assert text == message.format(1) + ", at shape (2, 3)"
    two = draws([[7, 0, 1], [0, 8, 0]], [[7, 0, 0], [0, 0, 0]])
    assert said(structure.compare_places(two, right))[0][1].startswith(message.format(2))


MASKS = draws([[1, 1, 0, 0], [0, 1, 1, 1]], [[1, 0, 0, 0], [0, 0, 0, 0]])


def test_entries_that_are_not_zero_are_counted_by_outputs_and_inputs():
    assert structure.lines(MASKS, 0).tolist() == [2, 3, 1, 0]
    assert structure.lines(MASKS, 1).tolist() == [1, 2, 1, 1, 1, 0, 0, 0]
    assert structure.share_of_zeros(MASKS) == 10 / 16
    kernel = draws([[[1, 0, 2], [0, 0, 0]]])
    assert structure.lines(kernel, 0).tolist() == [2]
    assert structure.lines(kernel, 1).tolist() == [2, 0]


def circulant(rows, columns, count, shift=0):
    """Rows with `count` ones, each row one place further."""
    matrix = torch.zeros(rows, columns)
    for i in range(rows):
        for j in range(count):
            matrix[i, (i + j + shift) % columns] = 1
    return matrix


BY_OUTPUTS = draws([[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 1, 0]])
BY_INPUTS = draws(BY_OUTPUTS.draws[0].T)
SPARSE = {
    "3 for 2": (
        draws(circulant(4, 4, 3)),
        BY_OUTPUTS,
        ("sparsity", "each output must read 2 inputs at shape (4, 4); it is 3"),
    ),
    "a range": (
        draws([[1, 0, 0, 0], [1, 0, 1, 0], [1, 1, 0, 1], [1, 1, 1, 1]]),
        BY_OUTPUTS,
        ("sparsity", "each output must read 2 inputs at shape (4, 4); it is 1 to 4"),
    ),
    "inputs for outputs": (
        BY_INPUTS,
        BY_OUTPUTS,
        (
            "sparse by the wrong side",
            "each output must read 2 inputs at shape (4, 4); it is 1 to 3, while each input"
            " reaches 2",
        ),
    ),
    "outputs for inputs": (
        BY_OUTPUTS,
        BY_INPUTS,
        (
            "sparse by the wrong side",
            "each input must reach 2 outputs at shape (4, 4); it is 1 to 3, while each output"
            " reads 2",
        ),
    ),
}


@pytest.mark.parametrize(("found", "right", "want"), SPARSE.values(), ids=SPARSE)
def test_connections_are_counted_by_the_side_that_the_method_fixes(found, right, want):
    assert said(structure.compare_sparsity(found, right)) == [want]


def test_right_counts_at_places_that_change_have_no_finding():
    turned = [circulant(4, 4, 2, shift) for shift in range(4)]
    assert structure.compare_sparsity(draws(*turned), BY_OUTPUTS) == []


def share(zeros, size):
    """Zeros by chance: neither rows nor columns have equal counts."""
    order = torch.randperm(size * size, generator=torch.Generator().manual_seed(0))
    return draws((order >= zeros).view(size, size))


def test_the_share_of_zeros_by_chance_may_be_off_by_its_error():
    right = share(3000, 100)
    # The error of a difference of two shares of 0.3, each of 10000 entries.
    limit = LIMIT * math.sqrt(0.3 * 0.7 * 2 / 10_000)
    for sign in (-1, 1):
        near = share(round(3000 + sign * 10_000 * limit * 0.97), 100)
        assert structure.compare_sparsity(near, right) == []
        far = share(round(3000 + sign * 10_000 * limit * 1.03), 100)
        (found,) = structure.compare_sparsity(far, right)
        q = structure.share_of_zeros(far)
        assert found.kind == "sparsity"
        assert found.message == f"the share of zeros must be 0.3; got {q:.3g} at shape (100, 100)"


@pytest.mark.parametrize("axis", [0, 1])
def test_places_must_be_taken_equally_often(axis):
    # 200 draws of 4 rows with 2 of 8 places: p = 1/4, and the limit is LIMIT + 3 errors of 800.
    limit = (LIMIT + 3) * math.sqrt(0.25 * 0.75 / 800)

    def taken(often):
        """Rows in which the first place is taken `often` times, and the others equally often."""
        matrix = torch.zeros(800, 8)
        matrix[:often, 0] = 1
        rows = torch.arange(800).repeat_interleave(2 - matrix[:, 0].long())
        matrix[rows, 1 + torch.arange(len(rows)) % 7] = 1
        parts = matrix.view(200, 4, 8)
        return draws(*(parts if axis == 0 else parts.transpose(1, 2)))

    def findings(often):
        return structure.compare_sparsity(taken(often), right)

    right = draws(circulant(4, 8, 2) if axis == 0 else circulant(4, 8, 2).T)
    assert findings(200) == []
    assert findings(math.floor(800 * (0.25 + limit * 0.98))) == []
    often = math.ceil(800 * (0.25 + limit * 1.02))
    (found,) = findings(often)
    times = f"{often / 200:.2g}"
    assert found.kind == "zeros misplaced"
    assert found.message.startswith(
        f"all places must be taken equally often; some are taken {times} times as often as by"
        f" chance, at shape"
    )


# Orthogonality.


def rotation(angle):
    cos, sin = math.cos(angle), math.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def test_the_gain_is_the_singular_value_if_there_is_one():
    assert structure.gain_of(torch.ones(4).double()) is None
    for matrix in (rotation(1), 0.25 * rotation(2)):
        wide = torch.tensor(np.hstack([0.6 * matrix, 0.8 * matrix]))
        gain = abs(np.linalg.det(matrix)) ** 0.5
        for each in (torch.tensor(matrix), wide, wide.T, wide.view(2, 2, 2)):
            assert structure.gain_of(each) == pytest.approx(gain)
    assert structure.gain_of(torch.zeros(3, 4).double()) is None
    assert structure.gain_of(torch.tensor([[3.0, 4.0]]).double()) is None
    # The squares of singular values may be off by a thousandth, and so may products of two rows.
    for off, known in ((0.9e-3, True), (1.1e-3, False)):
        squares = torch.tensor([1 - off, 1 + off]).double().sqrt().diag()
        skewed = torch.linalg.cholesky(torch.tensor([[1, off], [off, 1]]).double())
        for each in (squares, skewed):
            assert (structure.gain_of(each) is not None) == known


def haar_like(count, trace):
    """Rotations whose traces are given."""
    return draws(*(rotation(math.acos(t / 2)) for t in np.resize(trace, count)))


def test_the_singular_values_must_be_the_gain():
    fine = haar_like(64, [-1, 1])
    assert structure.compare_orthogonal([fine], [1.0]) == []
    wide = draws(*(1.5 * each for each in fine.draws), own=(7, 7))
    message = "all singular values must be {}; got 1.5 at shape (7, 7)"
    for gain, kind in (
        (2.0, "gain wrong"),
        (1.5**0.5, "gain squared"),
        (2.25, "gain under the root"),
    ):
        found = structure.compare_orthogonal([fine, wide], [1.0, gain])
        assert said(found) == [(kind, message.format(f"{gain:.4g}"))]
    assert structure.compare_orthogonal([wide], [1.5 * 1.0009]) == []
    for gain in (1.5 * 0.9985, 1.5 * 1.0015):
        assert structure.compare_orthogonal([wide], [gain])[0].kind == "gain wrong"


RECTANGLE = torch.tensor([[1.0, 0, 0], [0, 2.0, 0]]).double()


def unlike(values, **options):
    (found,) = structure.compare_orthogonal([draws(values, **options)], [1.0])
    return found.kind, found.message


def test_other_singular_values_are_named_with_their_cause():
    rule = "all singular values of (out, in * kernel) must be 1; they go from"
    assert unlike(RECTANGLE) == ("not orthogonal", f"{rule} 1 to 2 at shape (2, 3)")
    other = "though at another shape all are equal"
    found = structure.compare_orthogonal([haar_like(9, [1]), draws(RECTANGLE)], [1.0, 1.0])
    assert said(found) == [("wrong side", f"{rule} 1 to 2 at shape (2, 3), {other}")]
    # Of a kernel, the other ways to flatten it. Each is orthogonal in one way alone.
    tall = torch.linalg.qr(torch.arange(48.0).reshape(12, 4).double().sin()).Q
    by_inputs = tall.T.reshape(4, 3, 4).transpose(0, 1)  # (in, out * kernel)
    by_kernel = tall.reshape(3, 4, 4)  # (out * in, kernel)
    in_out = tall.T.reshape(4, 4, 3).permute(2, 1, 0)  # (kernel, in * out)
    for values in (by_inputs, by_kernel, in_out):
        kind, message = unlike(values)
        assert kind == "wrong side"
        assert message.endswith("at shape (3, 4, 4); it is orthogonal when flattened another way")
    kind, message = unlike(in_out, own=(4, 4, 3))
    assert kind == "wrong layout"
    assert message.endswith("at shape (4, 4, 3), as if the layout were the other")
    assert unlike(by_inputs, own=(4, 4, 3))[0] == "wrong side"


def test_the_trace_of_uniformly_distributed_matrices_is_standard_normal():
    count, root = 64, 8.0
    bent = LIMIT / root
    for sign in (-1, 1):
        # A mean at the limit, and a variance of one.
        near = haar_like(count, np.array([-1, 1]) + sign * bent * 0.97)
        assert structure.compare_orthogonal([near], [1.0]) == []
        far = haar_like(count, np.array([-1, 1]) + sign * bent * 1.03)
        mean = f"{sign * bent * 1.03:.2g}"
        message = f"the trace of Q must be 0 on average; got {mean} times its std"
        assert said(structure.compare_orthogonal([far], [1.0])) == [("not Haar", message)]
    for edge, inside in (
        (scipy.stats.chi2.isf(P / 2, count) / count, 0.97),
        (scipy.stats.chi2.ppf(P / 2, count) / count, 1.03),
    ):
        near, far = (
            haar_like(count, math.sqrt(edge * part) * np.array([-1, 1]))
            for part in (inside, 1 / inside)
        )
        assert structure.compare_orthogonal([near], [1.0]) == []
        message = f"the trace's mean square must be 1; got {edge / inside:.2g}"
        assert said(structure.compare_orthogonal([far], [1.0])) == [("not Haar", message)]


def one_fixed(rows, columns, sign):
    """A signed permutation, of which one entry is on the diagonal."""
    matrix = np.zeros((rows, columns))
    matrix[0, 0] = sign
    for i in range(1, rows):
        matrix[i, 1 + i % (columns - 1)] = 1
    return matrix


def test_fourth_powers_of_square_matrices_show_permutations():
    found = draws(*(one_fixed(8, 8, sign) for sign in 32 * (-1, 1)))
    # The mean of the fourth powers is 1/8, and 8 * 10 / 3 / 8 = 3.33.
    message = "fourth powers must average 3 / n(n + 2); got 3.3 times that"
    assert said(structure.compare_orthogonal([found], [1.0])) == [("not Haar", message)]
    # A permutation of 2 is near enough: 2 * 4 / 3 / 2 = 1.33.
    small = draws(*(np.diag([a, b]) for a, b in 32 * ((1, 1), (-1, -1), (1, -1), (-1, 1))))
    assert said(structure.compare_orthogonal([small], [1.0]))[0][1].startswith("the trace's mean")
    # The trace of 4 of 16 has the std 1/2; three of four are zero, so that its mean square is one.
    parts = [one_fixed(4, 16, sign) for sign in (-1, 1)] + 6 * [np.eye(4, 16, 5)]
    assert structure.compare_orthogonal([draws(*(16 * parts))], [1.0]) == []
