r"""Compare an initializer of your own with the method that it should follow.

If you write an initializer, you want to know more than that its std is off: which mistake was made?
Both functions draw at shapes with very different fans, and one of the shapes is a convolution. The
draws are compared by tests that a right function fails once in a million calls. A wrong std is then
explained: each usual mistake predicts a std at every shape, and the mistake that fits is named.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import torch

from initguide._checks import check_shape
from initguide._state import random_states_kept
from initguide.diagnostics.report import Finding, Report, finding
from initguide.fans import Layout, check_layout
from initguide.testing.adapters import Initializer, Shape, initializer, reference
from initguide.testing.compare import compare
from initguide.testing.contract import FATAL, contract, described, randomness
from initguide.testing.draws import VALUES, Draws, Source

# (out, in, *kernel): fans nine times apart in both directions, a small square, and a kernel.
SHAPES: tuple[Shape, ...] = ((40, 360), (360, 40), (24, 24), (72, 16, 3, 5))


def check_initializer(
    fn: Callable[..., Any],
    like: Any,
    *,
    layout: Layout | None = None,
    shapes: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
) -> Report:
    r"""Check your own initializer: does it draw as a method does, and if not, where is the mistake?

    $$\left|\log \frac{s^2}{\sigma^2}\right| \le z \sqrt{(\kappa - 1)
    \left(\tfrac1n + \tfrac1m\right)}, \qquad
    \sup_w \left|F_n(w) - G_m(w)\right| \le
    \sqrt{\tfrac12 \log\tfrac{2}{p} \left(\tfrac1n + \tfrac1m\right)}$$

    with the kurtosis $\kappa$, $n \ge 48\,000$ of your values and four times as many of the method
    at each shape (at small shapes, the values of 400 draws). Mean, orthogonality, the places of
    zeros and the generator are tested as well. The limits are set for one false alarm in a million
    calls. A std that is off by 2 % is found.

    Args:
        fn: A function `fn_(tensor, generator=None)` that fills a tensor `(out, in, *kernel)`, or
            `fn(shape, rng=None)` that returns an array. Its signature shows which, or else `like`
            does. Other arguments need a default, or `functools.partial`.
        like: The name of a method (`"kaiming_normal_"`), or any initializer of either form. Give
            its options with `functools.partial` or a lambda.
        layout: How an array's shape is read: `"in_out"` or `"out_in"`. None means `"in_out"`; then
            a function that takes `layout` is checked in both.
        shapes: The shapes to draw at, as `fn` takes them, with two sizes or more. None means three
            matrices and a convolution, without the shapes that `like` does not take.
        seed: Chooses the generators; another seed gives other draws.

    Returns:
        A [Report][initguide.Report]: print it, read its `findings`, or call its `assert_ok`. Its
        rows have `shape`, the number of `values`, the right `std` and `mean`, and those of `fn`,
        `found` and `found_mean`. The keys of [FINDINGS][initguide.FINDINGS] with
        `"check_initializer"` in `found_by` are the kinds of its findings. An error that `fn` raises
        is one of them.

    Raises:
        TypeError: `fn` or `like` is not a function, neither shows whether it fills or returns, or a
            shape does not hold integers.
        ValueError: `like` is not the name of a method or does not draw at the shapes, `layout` is
            unknown, a shape has fewer than two sizes or a size below 1, or `seed` is negative.

    The global random states of torch, NumPy and Python are as before, even if `fn` changes them.

    Source:
        The second limit by P. Massart (1990), *The Tight Constant in the
        Dvoretzky–Kiefer–Wolfowitz Inequality*, for two samples; the trace of a uniformly
        distributed orthogonal matrix by P. Diaconis, M. Shahshahani (1994), *On the Eigenvalues of
        Random Matrices*.

    Examples:
        ```python
        from functools import partial

        import initguide as init

        mine_ = partial(init.kaiming_normal_, mode="fan_out")
        report = init.check_initializer(mine_, like="kaiming_normal_")
        print(report.findings[0].kind)
        #> fans swapped
        ```
    """
    if layout is not None:
        check_layout(layout)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be an integer, at least 0; got {seed!r}")
    right = reference(like, fn, layout)
    mine = initializer(fn, right, layout)
    with random_states_kept():
        usable = _usable(mine, right, shapes, seed)
        rows, findings, checked = _check(mine, right, usable, seed)
        if not findings and layout is None and "layout" in mine.parameters:
            other: Layout = "out_in" if mine.layout == "in_out" else "in_out"
            turned = replace(mine, layout=other, pass_layout=True)
            _, findings, _ = _check(turned, right, usable, seed)
            checked = [*checked, f"the same with layout={other!r}"]
    first: dict[str, Finding] = {}
    for each in findings:
        first.setdefault(each.kind, replace(each, where=mine.name))
    title = f"{mine.name} is {'not ' if first else ''}like {right.name}"
    notes = [f"checked: {each}" for each in checked]
    return Report("check_initializer", rows, [*first.values()], notes, title)


def _usable(
    mine: Initializer, right: Initializer, shapes: Sequence[Sequence[int]] | None, seed: int
) -> list[Shape]:
    """Return the shapes `(out, in, *kernel)` at which the right initializer can draw."""
    asked = SHAPES if shapes is None else [_canonical(check_shape(s), mine) for s in shapes]
    usable, problem = [], None
    for shape in asked:
        try:
            right.values(shape, seed)
        except Exception as error:
            # Of any type, because anybody may have written the function.
            problem = error
            if shapes is not None:
                break
        else:
            usable.append(shape)
    if not usable or (shapes is not None and problem is not None):
        names = ", ".join(str(right.own(shape)) for shape in asked)
        reason = f"; it raised {described(problem)}" if problem else ""
        raise ValueError(f"like must draw at the shapes [{names}]{reason}") from problem
    return usable


def _canonical(own: Shape, mine: Initializer) -> Shape:
    if len(own) < 2:
        raise ValueError(f"shapes must have at least 2 sizes each; got {own}")
    return own if mine.layout == "out_in" else (own[-1], own[-2], *own[:-2])


def _check(
    mine: Initializer, right: Initializer, shapes: list[Shape], seed: int
) -> tuple[list[dict[str, Any]], list[Finding], list[str]]:
    """Return rows, findings with causes before their effects, and the names of the tests."""
    base = 10_000 * seed
    findings, usable = [], []
    for shape in shapes:
        found = contract(mine, shape, base)
        findings += found
        if not FATAL & {each.kind for each in found}:
            usable.append(shape)
    checked = [
        "fills the tensor and returns it, float64 and Parameters too"
        if mine.style == "tensor"
        else "returns an array of the shape that it is given"
    ]
    if not usable:
        return [], findings, checked
    first = min(usable, key=math.prod)
    random = not torch.equal(right.values(first, base), right.values(first, base + 1))
    try:
        found = randomness(mine, first, base, random=random)
        findings += found
        if random:
            checked.append("the generator decides the values, and the global state stays")
        if any(each.kind == "same values each call" for each in found):
            # All draws are copies of one, so they say nothing about the distribution.
            return [], findings, checked
        source = Source(mine, count(base + 10))
        drawn = [source.draw(shape) for shape in usable]
    except Exception as error:
        # Of any type, because it is the function that is checked.
        message = f"it must draw again and again; it raised {described(error)}"
        return [], [*findings, finding("raises", message)], checked
    source = Source(right, count(base + 5_000))
    due = [source.draw(shape, 4 * VALUES) for shape in usable]
    more, compared = compare(drawn, due, source, random=random)
    at_shapes = ", ".join("×".join(map(str, each.own)) for each in drawn)
    checked.append(f"{'; '.join(compared)}; at {at_shapes}")
    return [*map(_row, drawn, due)], [*findings, *more], checked


def _row(found: Draws, right: Draws) -> dict[str, Any]:
    a, b = found.flat, right.flat
    return {
        "shape": " × ".join(map(str, found.own)),
        "values": len(a),
        "std": b.std(correction=0).item(),
        "found": a.std(correction=0).item(),
        "mean": b.mean().item(),
        "found_mean": a.mean().item(),
    }
