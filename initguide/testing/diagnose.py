r"""Why a std may be wrong: each usual mistake with the std that it gives, at any shape.

A std alone says little: 0.047 is wrong, but why? Each mistake is a function of the shape. The fans
that it takes are those of another shape, where what the initializer is to be like is asked for its
std; the rest is arithmetic on that. At several shapes whose fans differ by far, one mistake fits.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from initguide.fans import Mode, fans
from initguide.methods.truncated_normal import truncated_moments
from initguide.testing.adapters import Shape

StdOf = Callable[[Shape], float | None]

# Five standard errors where a std is squared; the nearest of two mistakes, 4 % apart, is taken.
NEAR = 0.025


@dataclass(frozen=True)
class Found:
    """Kinds of mistakes that together give the stds found, and words for them."""

    kinds: tuple[str, ...]
    words: str


@dataclass(frozen=True)
class Case:
    """The std of an initializer at one shape.

    Attributes:
        shape: As `(out, in, *kernel)`.
        own: As the initializer takes it.
        std: What it gave.
        law: The law it looks like.
    """

    shape: Shape
    own: Shape
    std: float
    law: str


Instead = Callable[[Case], Shape]
Factor = Callable[[float], float]


def explain(cases: list[Case], std_of: StdOf, law: str) -> Found | None:
    """Return the mistake, or the two mistakes, that give the stds of all cases, if there are any.

    Args:
        cases: What was found.
        std_of: The std that is right at a shape `(out, in, *kernel)`; None where there is none.
        law: The law that is right.
    """
    by_fan = list(_by_fan(cases, std_of))
    by_factor = list(_by_factor(_gain(std_of), cases[0].law, law))
    alone = [(*fan, _same) for fan in by_fan]
    alone += [((kind,), words, _shape, factor) for kind, words, factor in by_factor]
    pairs = [
        ((*kinds, kind), f"{fans_words}, and {words}", instead, factor)
        for (kinds, fans_words, instead), (kind, words, factor) in itertools.product(
            by_fan, by_factor
        )
    ]
    for group in (alone, pairs):
        fits = [
            (_off(cases, std_of, instead, factor), Found(kinds, words))
            for kinds, words, instead, factor in group
        ]
        best = min(off for off, _ in fits)
        if best < NEAR:
            # Of those that chance alone tells apart, the first.
            return next(found for off, found in fits if off < best + NEAR / 4)
    return None


def _off(cases: list[Case], std_of: StdOf, instead: Instead, factor: Factor) -> float:
    """Return by how much, in logarithms, a mistake misses the stds found, at worst."""
    misses, changes = [], []
    for case in cases:
        shape, right = instead(case), std_of(case.shape)
        std = std_of(shape) if shape else None
        if not std or not right:
            return math.inf
        misses.append(abs(math.log(case.std / factor(std))))
        changes.append(abs(math.log(right / factor(std))))
    # A mistake that changes nothing here explains nothing.
    return max(misses) if max(changes) > 2 * NEAR else math.inf


def _same(std: float) -> float:
    return std


def _shape(case: Case) -> Shape:
    return case.shape


def _gain(std_of: StdOf) -> float | None:
    """Return the gain of a law whose std is gain / sqrt(fan); None for any other."""
    small, large = std_of((50, 50)), std_of((200, 200))
    if not small or not large or abs(small / large / 2 - 1) > NEAR:
        return None
    return small * math.sqrt(50)


def _by_fan(cases: list[Case], std_of: StdOf) -> Iterator[tuple[tuple[str, ...], str, Instead]]:
    """Return mistakes in the fans, each with the shape whose fans are taken instead."""
    yield (
        ("fans swapped",),
        "what fan_in and fan_out in each other's place give",
        lambda case: (case.shape[1], case.shape[0], *case.shape[2:]),
    )
    tall, wide = std_of((40, 360)), std_of((360, 40))
    by_mean = tall is not None and wide is not None and abs(tall / wide - 1) < NEAR
    modes: tuple[tuple[Mode, str, str], ...] = (
        ("fan_in", "one fan", "what fan_in alone gives"),
        ("fan_out", "one fan", "what fan_out alone gives"),
        ("fan_avg", "fan averaged", "what the mean of fan_in and fan_out gives"),
        ("fan_geo_avg", "fan averaged", "what the geometric mean of fan_in and fan_out gives"),
    )
    for mode, kind, words in modes[:2] if by_mean else modes[2:]:
        yield (kind,), words, lambda case, mode=mode: _square(fans(case.shape).pick(mode))
    if all(len(case.shape) == 2 for case in cases):
        return
    yield ("wrong layout",), "what its shape gives when read in the other layout", _misread
    for swapped, words, sizes in _KERNEL:
        # A mean of both fans is the same in either order.
        if swapped and by_mean:
            continue
        kinds = ("fans swapped", "kernel ignored") if swapped else ("kernel ignored",)
        yield kinds, f"what {words} give", lambda case, sizes=sizes: sizes(case.shape, case.own)


# Which sizes are taken for (fan_out, fan_in) of a convolution.
_KERNEL: tuple[tuple[bool, str, Callable[[Shape, Shape], Shape]], ...] = (
    (False, "the channels alone", lambda shape, own: shape[:2]),
    (True, "the channels alone, in each other's place,", lambda shape, own: shape[1::-1]),
    (False, "shape[0] and shape[1] as fans", lambda shape, own: own[1::-1]),
    (True, "shape[1] and shape[0] as fans", lambda shape, own: own[:2]),
    (False, "shape[0] and shape[-1] as fans", lambda shape, own: (own[-1], own[0])),
    (True, "shape[-1] and shape[0] as fans", lambda shape, own: (own[0], own[-1])),
    (False, "the kernel's places in fan_in alone", lambda s, own: (s[0], math.prod(s[1:]))),
    (False, "the kernel's places in fan_out alone", lambda s, own: (math.prod(s) // s[1], s[1])),
)


def _square(size: float) -> Shape:
    return round(size), round(size)


def _misread(case: Case) -> Shape:
    """Return the shape that a weight has in the other layout, in the form `(out, in, *kernel)`."""
    own = case.own
    return (own[-1], own[-2], *own[:-2]) if own == case.shape else own


def _by_factor(gain: float | None, found: str, right: str) -> Iterator[tuple[str, str, Factor]]:
    """Return mistakes in the number, each as a function of the right std."""
    root = math.sqrt(3.0)
    yield "square root missing", "the variance of the law", lambda std: std**2
    yield "square root twice", "the root of the right one", math.sqrt
    if found == "uniform":
        yield (
            "std used as bound",
            "what a uniform law with the std as its bound has",
            lambda std: std / root,
        )
        yield (
            "square root missing",
            "what a uniform law with a bound without its root has",
            lambda std: root * std**2,
        )
    if right != "uniform" or found != "uniform":
        yield "bound used as std", "the bound of the uniform law", lambda std: std * root
    if found == "truncated":
        yield (
            "truncation uncorrected",
            "what a cut at two std leaves of the right one",
            lambda std: std * truncated_moments(0.0, 1.0, -2.0, 2.0)[1],
        )
    if gain and abs(gain - 1) > NEAR:
        yield (
            "gain missing",
            f"what it is without the gain of about {gain:.2g}",
            lambda std: std / gain,
        )
        yield (
            "gain squared",
            f"what the gain of about {gain:.2g} gives when squared",
            lambda std: std * gain,
        )
        words = f"what the root of the gain, about {gain:.2g}, gives"
        yield "gain under the root", words, lambda std: std / math.sqrt(gain)
        yield "square root missing", "gain over fan, without a root", lambda std: std**2 / gain
        yield "square root missing", "one over fan", lambda std: (std / gain) ** 2
