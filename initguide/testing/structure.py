"""Compare values that are not independent: fixed values, zeros, equal blocks, orthogonality."""

import math

import torch
from torch import Tensor

from initguide.diagnostics.explain import gain_mistake
from initguide.diagnostics.report import Finding, finding
from initguide.testing.contract import at
from initguide.testing.draws import LIMIT, Draws

# A hand-written float32 decomposition may lose three digits.
ROUNDING = 1e-3


def compare_fixed(found: list[Draws], right: list[Draws]) -> list[Finding]:
    """Compare values that are not random."""
    for one, other in zip(found, right, strict=True):
        a, b = one.draws[0], other.draws[0]
        off = (a - b).abs() > 1e-6 * b.abs().clamp(min=b.abs().max().item() * 1e-3)
        if not off.any():
            continue
        size = f"{int(off.sum())} of {off.numel()} values"
        if b.unique().numel() > 1 and torch.allclose(a.flatten().msort(), b.flatten().msort()):
            message = f"each one must be in its place; {size} are not {at(one.own)}"
            return [finding("identity misplaced", message)]
        place = tuple(off.nonzero()[0].tolist())
        message = f"entry {place} of (out, in, *kernel) must be {b[place]:.4g}; got {a[place]:.4g}"
        message += f", and {size} are wrong {at(one.own)}"
        factor = _factor(a, b)
        gain = b.abs().max().item()
        missing = factor is not None and abs(factor * gain - 1) < ROUNDING
        kind = "gain missing" if missing and len(b.unique()) > 1 else "wrong values"
        return [finding(kind, message)]
    return []


def _factor(a: Tensor, b: Tensor) -> float | None:
    """Return the factor between two arrays, if there is one factor for all entries."""
    top = b.abs().argmax()
    number = (a.flatten()[top] / b.flatten()[top]).item()
    return number if torch.allclose(a, number * b) else None


def block_of(right: Draws) -> int:
    """Return how many consecutive outputs are equal in every draw."""
    rows = right.draws[0].flatten(1)
    new = [i for i in range(1, len(rows)) if not torch.equal(rows[i], rows[i - 1])]
    size = math.gcd(*new, len(rows))
    return size if size < len(rows) else 1


def compare_blocks(found: Draws, block: int) -> list[Finding]:
    """Find blocks whose outputs are not equal."""
    rows = found.draws[0].flatten(1).unflatten(0, (-1, block))
    if bool((rows == rows[:, :1]).all()):
        return []
    same = [i for i, row in enumerate(rows.flatten(0, 1)) if torch.equal(row, rows[0, 0])]
    message = f"outputs 0 to {block - 1} must be equal {at(found.own)}"
    got = f"output 0 equals {', '.join(map(str, same[1:]))}" if len(same) > 1 else "none are"
    return [finding("blocks misplaced", f"{message}; {got}")]


def compare_places(found: Draws, right: Draws) -> list[Finding]:
    """Compare zeros at fixed places, such as those around a kernel's centre."""
    zero = torch.stack(right.draws).eq(0).all(0)
    bad = (torch.stack(found.draws).eq(0) != zero).any(0)
    if not bad.any():
        return []
    count = int((found.draws[0] != 0).sum())
    message = f"{int((~zero).sum())} entries, at fixed places, must not be zero"
    message += f"; {count} are not, {int(bad.sum())} of them wrong or missing, {at(found.own)}"
    return [finding("zeros misplaced", message)]


def lines(draws: Draws, axis: int) -> Tensor:
    """Return how many entries of each output (0) or input (1) are not zero, over all draws."""
    return torch.cat([(d != 0).transpose(0, axis).flatten(1).sum(1) for d in draws.draws])


def share_of_zeros(draws: Draws) -> float:
    """Return how many of all entries are zero, as a share."""
    return draws.flat.eq(0).double().mean().item()


_SIDES = ("each output must read {} inputs", "each input must reach {} outputs")


def compare_sparsity(found: Draws, right: Draws) -> list[Finding]:
    """Compare zeros whose places are random: how many there are in each row or column."""
    for axis, rule in enumerate(_SIDES):
        due, got = lines(right, axis), lines(found, axis)
        number = int(due[0])
        if not bool((due == number).all()):
            continue
        if bool((got == number).all()):
            return _spread_of_zeros(found, axis, number)
        message = f"{rule.format(number)} {at(found.own)}; it is {_range(got)}"
        other = lines(found, 1 - axis)
        if len(other.unique()) == 1 and len(got.unique()) > 1:
            sides = ("input reaches", "output reads")
            message += f", while each {sides[axis]} {int(other[0])}"
            return [finding("sparse by the wrong side", message)]
        return [finding("sparsity", message)]
    p, q = share_of_zeros(right), share_of_zeros(found)
    error = math.sqrt(p * (1 - p) * (1 / len(found.flat) + 1 / len(right.flat)))
    if abs(p - q) > LIMIT * error:
        message = f"the share of zeros must be {p:.3g}; got {q:.3g} {at(found.own)}"
        return [finding("sparsity", message)]
    return []


def _range(counts: Tensor) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _spread_of_zeros(found: Draws, axis: int, number: int) -> list[Finding]:
    """Find places of a row or column that are taken more often than others."""
    masks = torch.cat([(d != 0).transpose(0, axis).flatten(1) for d in found.draws]).double()
    count, length = masks.shape
    p = number / length
    error = math.sqrt(max(p * (1 - p), 1e-12) / count)
    # The count of a rare event has a longer tail than a normal number.
    if (masks.mean(0) - p).abs().max().item() <= (LIMIT + 3) * error:
        return []
    message = "all places must be taken equally often; some are taken "
    message += f"{masks.mean(0).max() / p:.2g} times as often as by chance, {at(found.own)}"
    return [finding("zeros misplaced", message)]


def gain_of(draw: Tensor) -> float | None:
    """Return the singular value of `(out, in * kernel)`; None if the singular values differ."""
    if draw.ndim < 2:
        return None
    matrix = draw.flatten(1)
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = short @ short.T
    size = gram.diagonal().mean().item()
    off = (gram - size * torch.eye(len(gram), dtype=gram.dtype, device="cpu")).abs().max().item()
    return math.sqrt(size) if size > 0 and off <= ROUNDING * size and len(gram) > 1 else None


def compare_orthogonal(found: list[Draws], gains: list[float]) -> list[Finding]:
    """Compare matrices that must be `gains` times uniformly distributed orthogonal matrices."""
    got = [gain_of(each.draws[0]) for each in found]
    for each, own, gain in zip(found, got, gains, strict=True):
        if own is None:
            return [_unlike(each, gain, any(got))]
    for each, own, gain in zip(found, got, gains, strict=True):
        if own and abs(own / gain - 1) > ROUNDING:
            message = f"all singular values must be {gain:.4g}; got {own:.4g} {at(each.own)}"
            return [finding(gain_mistake(own, gain, ROUNDING), message)]
    return _haar(found, gains)


def _unlike(found: Draws, gain: float, elsewhere: bool) -> Finding:
    draw = found.draws[0]
    values = torch.linalg.svdvals(draw.flatten(1))
    message = f"all singular values of (out, in * kernel) must be {gain:.4g}; they go from "
    message += f"{values.min():.3g} to {values.max():.3g} {at(found.own)}"
    if draw.ndim > 2:
        in_out = draw.permute(*range(2, draw.ndim), 1, 0)
        if found.own != found.shape and gain_of(in_out):
            return finding("wrong layout", f"{message}, as if the layout were the other")
        if any(map(gain_of, (draw.transpose(0, 1), in_out, draw.flatten(0, -2)))):
            return finding("wrong side", f"{message}; it is orthogonal when flattened another way")
    if elsewhere:
        return finding("wrong side", f"{message}, though at another shape all are equal")
    return finding("not orthogonal", message)


def _haar(found: list[Draws], gains: list[float]) -> list[Finding]:
    """Test the trace, whose mean is 0 and whose mean square is 1, and the fourth moment."""
    traces, fourth, count = [], 0.0, 0
    for each, gain in zip(found, gains, strict=True):
        for draw in each.draws:
            q = draw.flatten(1) / gain
            n, k = max(q.shape), min(q.shape)
            traces.append(q.diagonal().sum().item() / math.sqrt(k / n))
            if n == k:
                fourth += (q**4).mean().item() * n * (n + 2) / 3
                count += 1
    t = torch.tensor(traces, dtype=torch.float64, device="cpu")
    mean, square = t.mean().item(), t.square().mean().item()
    # The trace is very nearly normal.
    if abs(mean) * math.sqrt(len(t)) > LIMIT:
        message = f"the trace of Q must be 0 on average; got {mean:.2g} times its std"
        return [finding("not Haar", message)]
    share = 2 / (9 * len(t))
    if abs(square ** (1 / 3) - 1 + share) > LIMIT * math.sqrt(share):
        return [finding("not Haar", f"the trace's mean square must be 1; got {square:.2g}")]
    if count and abs(fourth / count - 1) > 0.5:
        message = f"fourth powers must average 3 / n(n + 2); got {fourth / count:.2g} times that"
        return [finding("not Haar", message)]
    return []
