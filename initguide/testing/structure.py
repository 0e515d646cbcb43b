"""Judge what is not drawn entry by entry: fixed values, zeros, equal blocks, orthogonality."""

import math

import torch
from torch import Tensor

from initguide.testing.contract import at
from initguide.testing.draws import LIMIT, Draws
from initguide.testing.judgment import Fault, fault

# A hand-written float32 decomposition may lose three digits.
ROUNDING = 1e-3


def judge_fixed(found: list[Draws], right: list[Draws]) -> list[Fault]:
    """Compare values that leave nothing to chance."""
    for one, other in zip(found, right, strict=True):
        a, b = one.draws[0], other.draws[0]
        off = (a - b).abs() > 1e-6 * b.abs().clamp(min=b.abs().max().item() * 1e-3)
        if not off.any():
            continue
        size = f"{int(off.sum())} of {off.numel()} values"
        if b.unique().numel() > 1 and torch.allclose(a.flatten().msort(), b.flatten().msort()):
            words = f"each one must be in its place; {size} are not {at(one.own)}"
            return [fault("identity misplaced", words)]
        place = tuple(off.nonzero()[0].tolist())
        words = f"entry {place} of (out, in, *kernel) must be {b[place]:.4g}; got {a[place]:.4g}"
        words += f", and {size} are wrong {at(one.own)}"
        factor = _factor(a, b)
        gain = b.abs().max().item()
        missing = factor is not None and abs(factor * gain - 1) < ROUNDING
        return [fault("gain missing" if missing and len(b.unique()) > 1 else "wrong values", words)]
    return []


def _factor(a: Tensor, b: Tensor) -> float | None:
    """Return the number that one array is times the other, if it is one."""
    top = b.abs().argmax()
    number = (a.flatten()[top] / b.flatten()[top]).item()
    return number if torch.allclose(a, number * b) else None


def block_of(right: Draws) -> int:
    """Return how many consecutive outputs are equal in every draw."""
    rows = right.draws[0].flatten(1)
    new = [i for i in range(1, len(rows)) if not torch.equal(rows[i], rows[i - 1])]
    size = math.gcd(*new, len(rows))
    return size if size < len(rows) else 1


def judge_blocks(found: Draws, block: int) -> list[Fault]:
    """Return whether the outputs of each block are equal."""
    rows = found.draws[0].flatten(1).unflatten(0, (-1, block))
    if bool((rows == rows[:, :1]).all()):
        return []
    same = [i for i, row in enumerate(rows.flatten(0, 1)) if torch.equal(row, rows[0, 0])]
    words = f"outputs 0 to {block - 1} must be equal {at(found.own)}"
    got = f"output 0 is that of {', '.join(map(str, same[1:]))}" if len(same) > 1 else "none is"
    return [fault("blocks misplaced", f"{words}; {got}")]


def judge_places(found: Draws, right: Draws) -> list[Fault]:
    """Compare zeros whose places are fixed, such as those around a kernel's centre."""
    zero = torch.stack(right.draws).eq(0).all(0)
    bad = (torch.stack(found.draws).eq(0) != zero).any(0)
    if not bad.any():
        return []
    count = int((found.draws[0] != 0).sum())
    words = f"{int((~zero).sum())} entries, at fixed places, must be other than zero"
    words += f"; {count} are, {int(bad.sum())} of them wrong or missing, {at(found.own)}"
    return [fault("zeros misplaced", words)]


def lines(draws: Draws, axis: int) -> Tensor:
    """Return how many entries of each output (0) or input (1) are not zero, over all draws."""
    return torch.cat([(d != 0).transpose(0, axis).flatten(1).sum(1) for d in draws.draws])


def share_of_zeros(draws: Draws) -> float:
    """Return how many of all entries are zero, as a share."""
    return draws.flat.eq(0).double().mean().item()


_SIDES = ("each output must hear {} inputs", "each input must reach {} outputs")


def judge_sparsity(found: Draws, right: Draws) -> list[Fault]:
    """Compare zeros whose places are random: how many there are in each row or column."""
    for axis, rule in enumerate(_SIDES):
        wanted, got = lines(right, axis), lines(found, axis)
        number = int(wanted[0])
        if not bool((wanted == number).all()):
            continue
        if bool((got == number).all()):
            return _spread_of_zeros(found, axis, number)
        words = f"{rule.format(number)} {at(found.own)}; it is {_range(got)}"
        other = lines(found, 1 - axis)
        if len(other.unique()) == 1 and len(got.unique()) > 1:
            sides = ("input reaches", "output hears")
            words += f", while each {sides[axis]} {int(other[0])}"
            return [fault("sparse by the wrong side", words)]
        return [fault("sparsity", words)]
    p, q = share_of_zeros(right), share_of_zeros(found)
    error = math.sqrt(p * (1 - p) * (1 / len(found.flat) + 1 / len(right.flat)))
    if abs(p - q) > LIMIT * error:
        words = f"the share of zeros must be {p:.3g}; got {q:.3g} {at(found.own)}"
        return [fault("sparsity", words)]
    return []


def _range(counts: Tensor) -> str:
    low, high = int(counts.min()), int(counts.max())
    return str(low) if low == high else f"{low} to {high}"


def _spread_of_zeros(found: Draws, axis: int, number: int) -> list[Fault]:
    """Return whether all places of a line are taken equally often."""
    masks = torch.cat([(d != 0).transpose(0, axis).flatten(1) for d in found.draws]).double()
    count, length = masks.shape
    p = number / length
    error = math.sqrt(max(p * (1 - p), 1e-12) / count)
    # The count of a rare event has a longer tail than a normal number.
    if (masks.mean(0) - p).abs().max().item() <= (LIMIT + 3) * error:
        return []
    words = f"all places must be taken equally often; some are {masks.mean(0).max() / p:.2g} times "
    return [fault("zeros misplaced", f"{words}as often as chance has it, {at(found.own)}")]


def gain_of(draw: Tensor) -> float | None:
    """Return the singular value that `(out, in * kernel)` has throughout; None if they differ."""
    if draw.ndim < 2:
        return None
    matrix = draw.flatten(1)
    short = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    gram = short @ short.T
    size = gram.diagonal().mean().item()
    off = (gram - size * torch.eye(len(gram), dtype=gram.dtype)).abs().max().item()
    return math.sqrt(size) if size > 0 and off <= ROUNDING * size and len(gram) > 1 else None


def judge_orthogonal(found: list[Draws], gains: list[float]) -> list[Fault]:
    """Compare matrices that are to be `gains` times uniformly distributed orthogonal ones."""
    got = [gain_of(each.draws[0]) for each in found]
    for each, own, gain in zip(found, got, gains, strict=True):
        if own is None:
            return [_unlike(each, gain, any(got))]
    for each, own, gain in zip(found, got, gains, strict=True):
        if own and abs(own / gain - 1) > ROUNDING:
            words = f"all singular values must be {gain:.4g}; got {own:.4g} {at(each.own)}"
            mistakes = {"gain missing": 1.0, "gain squared": gain**2}
            mistakes["gain under the root"] = math.sqrt(gain)
            near = (kind for kind, g in mistakes.items() if abs(own / g - 1) < ROUNDING)
            return [fault(next(near, "gain wrong"), words)]
    return _haar(found, gains)


def _unlike(found: Draws, gain: float, elsewhere: bool) -> Fault:
    draw = found.draws[0]
    values = torch.linalg.svdvals(draw.flatten(1))
    words = f"all singular values of (out, in * kernel) must be {gain:.4g}; they go from "
    words += f"{values.min():.3g} to {values.max():.3g} {at(found.own)}"
    if draw.ndim > 2:
        in_out = draw.permute(*range(2, draw.ndim), 1, 0)
        if found.own != found.shape and gain_of(in_out):
            return fault("wrong layout", f"{words}, as if the layout were the other")
        if any(map(gain_of, (draw.transpose(0, 1), in_out, draw.flatten(0, -2)))):
            return fault("wrong side", f"{words}; it is orthogonal when flattened another way")
    if elsewhere:
        return fault("wrong side", f"{words}, though at another shape all are equal")
    return fault("not orthogonal", words)


def _haar(found: list[Draws], gains: list[float]) -> list[Fault]:
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
    t = torch.tensor(traces, dtype=torch.float64)
    mean, square = t.mean().item(), t.square().mean().item()
    # The trace is all but normal.
    if abs(mean) * math.sqrt(len(t)) > LIMIT:
        words = f"the trace of Q must be 0 on average; got {mean:.2g} times its std"
        return [fault("not Haar", words)]
    share = 2 / (9 * len(t))
    if abs(square ** (1 / 3) - 1 + share) > LIMIT * math.sqrt(share):
        return [fault("not Haar", f"the trace's mean square must be 1; got {square:.2g}")]
    if count and abs(fourth / count - 1) > 0.5:
        words = f"fourth powers must average 3 / n(n + 2); got {fourth / count:.2g} times that"
        return [fault("not Haar", words)]
    return []
