r"""Judge an initializer by what it draws, beside what it is meant to be like.

Whoever writes an initializer wants to know more than that the std is off: what was done wrong? Both
functions draw at shapes whose fans differ by far, a convolution among them, and are compared by
tests that a right one passes but once in a million judgments. What differs is then explained: each
usual mistake predicts a std at every shape, and the one that fits is named.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import torch

from initguide._checks import check_shape
from initguide._state import random_states_kept
from initguide.fans import Layout, check_layout
from initguide.testing.adapters import (
    Initializer,
    Shape,
    initializer,
    reference,
)
from initguide.testing.compare import compare
from initguide.testing.contract import FATAL, contract, randomness, said
from initguide.testing.draws import VALUES, Source
from initguide.testing.judgment import Fault, Judgment, fault

# (out, in, *kernel): fans nine times apart both ways, small and square, a kernel with two sizes.
SHAPES: tuple[Shape, ...] = ((40, 360), (360, 40), (24, 24), (72, 16, 3, 5))


def check_initializer(
    fn: Callable[..., Any],
    like: Any,
    *,
    layout: Layout | None = None,
    shapes: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
) -> Judgment:
    r"""Judge your own initializer: is it like a method, and if not, what is wrong with it?

    $$\left|\log \frac{s^2}{\sigma^2}\right| \le z \sqrt{(\kappa - 1)
    \left(\tfrac1n + \tfrac1m\right)}, \qquad
    \sup_w \left|F_n(w) - G_m(w)\right| \le
    \sqrt{\tfrac12 \log\tfrac{2}{p} \left(\tfrac1n + \tfrac1m\right)}$$

    with the kurtosis $\kappa$, $n \ge 48\,000$ values of yours and four times as many of the method
    at each shape (of small ones, those of 400 draws); mean, orthogonality, places of zeros and the
    generator are tested as well. The limits are set for one false alarm in a million judgments. A
    std that is off by 2 % is found.

    Args:
        fn: A function `fn_(tensor, generator=None)` that fills a tensor `(out, in, *kernel)`, or
            `fn(shape, rng=None)` that returns an array; its signature tells which, or else `like`.
            Other arguments need a default, or `functools.partial`.
        like: The name of a method (`"kaiming_normal_"`), or any initializer of either form, options
            given with `functools.partial` or a lambda.
        layout: How an array's shape is read: `"in_out"` or `"out_in"`. Where None, `"in_out"`; a
            function that takes `layout` is judged in both.
        shapes: The shapes to draw at, as `fn` takes them, each of two sizes or more. Where None,
            three matrices and a convolution, less those that `like` does not take.
        seed: Chooses the generators; another one is another judgment.

    Returns:
        A [Judgment][initguide.Judgment]: print it, read its `faults`, or call its `assert_ok`.
            The kinds of fault are the keys of [FAULTS][initguide.FAULTS]; that `fn` raises is one.

    Raises:
        TypeError: `fn` or `like` is no function, neither shows whether it fills or returns, or a
            shape does not hold integers.
        ValueError: `like` is no method's name or does not draw at the shapes, `layout` is unknown,
            a shape has fewer than two sizes or one below 1, or `seed` is negative.

    The global random states of torch, NumPy and Python are as before, whatever `fn` does.

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
        judgment = init.check_initializer(mine_, like="kaiming_normal_")
        print(judgment.faults[0].kind)
        #> fans swapped
        ```
    """
    if layout is not None:
        check_layout(layout)
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be an integer, at least 0; got {seed!r}")
    right = reference(like, fn, layout)
    reader = initializer(fn, right, layout)
    with random_states_kept():
        usable = _usable(reader, right, shapes, seed)
        faults, checked = _judge(reader, right, usable, seed)
        if not faults and layout is None and "layout" in reader.parameters:
            other: Layout = "out_in" if reader.layout == "in_out" else "in_out"
            faults, _ = _judge(replace(reader, layout=other, told=True), right, usable, seed)
            checked = [*checked, f"the same with layout={other!r}"]
    first: dict[str, Fault] = {}
    for each in faults:
        first.setdefault(each.kind, each)
    return Judgment(reader.name, right.name, tuple(first.values()), tuple(checked))


def _usable(
    reader: Initializer, right: Initializer, shapes: Sequence[Sequence[int]] | None, seed: int
) -> list[Shape]:
    """Return the shapes `(out, in, *kernel)` at which what is right can be drawn."""
    wanted = SHAPES if shapes is None else [_canonical(check_shape(s), reader) for s in shapes]
    usable, problem = [], None
    for shape in wanted:
        try:
            right.values(shape, seed)
        except Exception as error:
            # Of any type: it may be anybody's function.
            problem = error
            if shapes is not None:
                break
        else:
            usable.append(shape)
    if not usable or (shapes is not None and problem is not None):
        names = ", ".join(str(right.own(shape)) for shape in wanted)
        reason = f"; it raised {said(problem)}" if problem else ""
        raise ValueError(f"like must draw at the shapes [{names}]{reason}") from problem
    return usable


def _canonical(own: Shape, reader: Initializer) -> Shape:
    if len(own) < 2:
        raise ValueError(f"shapes must have at least 2 sizes each; got {own}")
    return own if reader.layout == "out_in" else (own[-1], own[-2], *own[:-2])


def _judge(
    reader: Initializer, right: Initializer, shapes: list[Shape], seed: int
) -> tuple[list[Fault], list[str]]:
    """Return the faults at some shapes, causes first, and what was checked."""
    base = 10_000 * seed
    faults, usable = [], []
    for shape in shapes:
        found = contract(reader, shape, base)
        faults += found
        if not FATAL & {each.kind for each in found}:
            usable.append(shape)
    checked = [
        "fills the tensor and returns it; float64 and Parameters as well"
        if reader.style == "tensor"
        else "returns an array of the shape that it is asked for"
    ]
    if not usable:
        return faults, checked
    first = min(usable, key=math.prod)
    random = not torch.equal(right.values(first, base), right.values(first, base + 1))
    try:
        found = randomness(reader, first, base, random=random)
        faults += found
        if any(each.kind == "same values each call" for each in found):
            # The draws would be copies, from which nothing follows.
            return faults, checked
        if random:
            checked.append("its generator decides the values, and the global state stays")
        mine = Source(reader, count(base + 10))
        drawn = [mine.draw(shape) for shape in usable]
    except Exception as error:
        # Of any type: it is the reader's function.
        words = f"it must draw again and again; it raised {said(error)}"
        return [*faults, fault("raises", words)], checked
    theirs = Source(right, count(base + 5_000))
    meant = [theirs.draw(shape, 4 * VALUES) for shape in usable]
    more, words = compare(drawn, meant, theirs, random=random)
    at_shapes = ", ".join("×".join(map(str, each.own)) for each in drawn)
    return [*faults, *more], [*checked, f"{words}; at {at_shapes}"]
