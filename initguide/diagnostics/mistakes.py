"""The usual mistakes in a std, each with the std that it gives.

`audit` and `check_initializer` share this table. A std alone says little: 0.047 is wrong, but why?
Each mistake predicts a std from the shape, the right formula and its gain. The mistake whose
prediction is right explains the std. `audit` knows one weight and its layer. `check_initializer`
knows several shapes with very different fans, so it can also recognize two mistakes at once.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from initguide.fans import Fans, Mode
from initguide.model.distributions import Spread

Shape = tuple[float, ...]
# The std at a shape `(out, in, *kernel)`; None where there is none.
StdOf = Callable[[Shape], float | None]

# Five standard errors where a std is squared.
NEAR = 0.025
_ROOT_3 = math.sqrt(3)

DISTRIBUTIONS = {
    "normal": Spread("normal"),
    "uniform": Spread("uniform", low=-1.0, high=1.0),
    "truncated": Spread("normal", low=-2.0, high=2.0),
}


@dataclass(frozen=True)
class Case:
    """A weight with a wrong std.

    Attributes:
        std: The std that was found.
        right: The right std.
        shape: Its shape `(out, in, *kernel)`.
        own: Its shape as the initializer takes it: another one for arrays.
        fan_shape: A shape with the right fans. It is `shape`, unless groups, strides or packed
            gates change the fans.
        layer_shape: A shape with the fans of the layer that holds the weight; None without a layer.
        looks: The distributions that the values may have.
    """

    std: float
    right: float
    shape: Shape
    own: Shape
    fan_shape: Shape
    layer_shape: Shape | None
    looks: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """The right initializer, as far as it is known.

    Attributes:
        std_of: Its std at any shape; None if the std does not depend on the shape.
        distribution: One of DISTRIBUTIONS, or another name.
        gain: The gain in its std; None if there is none.
        gain_text: The gain, for a message.
    """

    std_of: StdOf | None
    distribution: str
    gain: float | None
    gain_text: str

    @cached_property
    def uses_mean(self) -> bool:
        """Whether the std is the same if the fans are swapped."""
        tall, wide = (self.std_of(each) if self.std_of else None for each in ((40, 360), (360, 40)))
        return tall is not None and wide is not None and abs(tall / wide - 1) < NEAR


class Mistake(NamedTuple):
    """A mistake, and the std that it gives.

    Attributes:
        kinds: Its kinds of finding. There are two if two mistakes are usually made together.
        text: It, after the words "as if".
        shape: The shape whose fans are used instead; None where the fans are right.
        std: The std that it gives, from the right std and the gain.
        possible: Whether it can be made at all.
    """

    kinds: tuple[str, ...]
    text: str
    shape: Callable[[Case], Shape | None] | None = None
    std: Callable[[float, float], float] = lambda std, gain: std
    possible: Callable[[Known, Sequence[Case]], bool] = lambda known, cases: True


def fans_of(shape: Shape) -> Fans:
    """Return the fans of a shape `(out, in, *kernel)`."""
    places = math.prod(shape[2:])
    return Fans(shape[1] * places, shape[0] * places)


def _swapped(shape: Shape) -> Shape:
    return (shape[1], shape[0], *shape[2:])


def _picked(mode: Mode) -> Callable[[Shape], Shape]:
    def square(shape: Shape) -> Shape:
        size = fans_of(shape).pick(mode)
        return (size, size)

    return square


def _misread(case: Case) -> Shape:
    """Return the shape that a weight has in the other layout, as `(out, in, *kernel)`."""
    own = case.own
    return (own[-1], own[-2], *own[:-2]) if own == case.shape else own


def _from_shape(case: Case) -> Shape | None:
    """Return the weight's shape, if the right fans differ from the fans of the shape."""
    return case.shape if fans_of(case.shape) != fans_of(case.fan_shape) else None


def _uses_mean(known: Known, _: Sequence[Case]) -> bool:
    return known.uses_mean


def _uses_one(known: Known, _: Sequence[Case]) -> bool:
    return not known.uses_mean


def _has_kernel(_: Known, cases: Sequence[Case]) -> bool:
    return any(len(case.shape) > 2 for case in cases)


def _has_kernel_and_uses_one(known: Known, cases: Sequence[Case]) -> bool:
    return _has_kernel(known, cases) and not known.uses_mean


def _has_gain(known: Known, _: Sequence[Case]) -> bool:
    return known.gain is not None and abs(known.gain - 1) > NEAR


def _looks(name: str) -> Callable[[Known, Sequence[Case]], bool]:
    return lambda known, cases: name in cases[0].looks


def _not_twice_uniform(known: Known, cases: Sequence[Case]) -> bool:
    return known.distribution != "uniform" or "uniform" not in cases[0].looks


def _fan_mistakes(whose: str, base: Callable[[Case], Shape | None]) -> Iterable[Mistake]:
    """Return the mistakes with the two fans of a shape: swapped, only one, or their mean."""

    def of(change: Callable[[Shape], Shape]) -> Callable[[Case], Shape | None]:
        return lambda case: change(shape) if (shape := base(case)) else None

    yield Mistake(("fans swapped",), f"fan_in and fan_out{whose} were swapped", of(_swapped))
    modes: tuple[tuple[Mode, str, str], ...] = (
        ("fan_in", "one fan", "only fan_in{} was used"),
        ("fan_out", "one fan", "only fan_out{} was used"),
        ("fan_avg", "fan averaged", "the mean of fan_in and fan_out{} was used"),
        ("fan_geo_avg", "fan averaged", "the geometric mean of fan_in and fan_out{} was used"),
    )
    for mode, kind, text in modes:
        possible = _uses_mean if kind == "one fan" else _uses_one
        yield Mistake((kind,), text.format(whose), of(_picked(mode)), possible=possible)


# Which sizes of a convolution are taken for (fan_out, fan_in), from its shape (out, in, *kernel)
# and from the shape as the initializer takes it.
_KERNEL: tuple[tuple[str, bool, Callable[[Shape, Shape], Shape]], ...] = (
    ("only the channels were counted", False, lambda shape, own: shape[:2]),
    ("only the channels were counted, and swapped", True, lambda shape, own: shape[1::-1]),
    ("shape[0] and shape[1] were the fans", False, lambda shape, own: own[1::-1]),
    ("shape[1] and shape[0] were the fans", True, lambda shape, own: own[:2]),
    ("shape[0] and shape[-1] were the fans", False, lambda shape, own: (own[-1], own[0])),
    ("shape[-1] and shape[0] were the fans", True, lambda shape, own: (own[0], own[-1])),
    (
        "the kernel was counted in fan_in only",
        False,
        lambda shape, own: (shape[0], math.prod(shape[1:])),
    ),
    (
        "the kernel was counted in fan_out only",
        False,
        lambda shape, own: (shape[0] * math.prod(shape[2:]), shape[1]),
    ),
)

MISTAKES: tuple[Mistake, ...] = (
    *_fan_mistakes("", lambda case: case.fan_shape),
    Mistake(
        ("wrong layout",),
        "the shape was read in the other layout",
        _misread,
        possible=_has_kernel,
    ),
    *(
        Mistake(
            ("fans swapped", "kernel ignored") if swapped else ("kernel ignored",),
            text,
            lambda case, sizes=sizes: sizes(case.shape, case.own),
            possible=_has_kernel_and_uses_one if swapped else _has_kernel,
        )
        for text, swapped, sizes in _KERNEL
    ),
    Mistake(("wrong fans",), "the fans were those of the weight's shape", _from_shape),
    Mistake(("wrong fans",), "the fans were those of the layer", lambda case: case.layer_shape),
    *_fan_mistakes(" of the weight's shape", _from_shape),
    Mistake(
        ("gain missing",),
        "{gain} was missing",
        std=lambda std, gain: std / gain,
        possible=_has_gain,
    ),
    Mistake(
        ("gain squared",),
        "{gain} was squared",
        std=lambda std, gain: std * gain,
        possible=_has_gain,
    ),
    Mistake(
        ("gain under the root",),
        "the root of {gain} was used",
        std=lambda std, gain: std / math.sqrt(gain),
        possible=_has_gain,
    ),
    Mistake(("square root missing",), "the variance was used", std=lambda std, gain: std**2),
    Mistake(
        ("square root twice",), "the root was taken twice", std=lambda std, gain: math.sqrt(std)
    ),
    Mistake(
        ("std used as bound",),
        "the std was used as the bound of a uniform distribution",
        std=lambda std, gain: std / _ROOT_3,
        possible=_looks("uniform"),
    ),
    Mistake(
        ("square root missing",),
        "the bound of a uniform distribution was used without its root",
        std=lambda std, gain: _ROOT_3 * std**2,
        possible=_looks("uniform"),
    ),
    Mistake(
        ("bound used as std",),
        "the bound of a uniform distribution was used as the std",
        std=lambda std, gain: std * _ROOT_3,
        possible=_not_twice_uniform,
    ),
    Mistake(
        ("truncation uncorrected",),
        "a cut at two std was not corrected for",
        std=lambda std, gain: std * DISTRIBUTIONS["truncated"].std,
        possible=_looks("truncated"),
    ),
    Mistake(
        ("square root missing",),
        "gain / fan was used, without a root",
        std=lambda std, gain: std**2 / gain,
        possible=_has_gain,
    ),
    Mistake(
        ("square root missing",),
        "1 / fan was used",
        std=lambda std, gain: (std / gain) ** 2,
        possible=_has_gain,
    ),
)


class Explanation(NamedTuple):
    """One mistake, or two at once.

    Attributes:
        kinds: The kinds of finding.
        text: The mistakes, after the words "as if".
        of_fans: Whether wrong fans are among them.
    """

    kinds: tuple[str, ...]
    text: str
    of_fans: bool


def explain(
    cases: Sequence[Case],
    known: Known,
    *,
    near: float = NEAR,
    tie: float = NEAR / 4,
    pairs: bool = True,
) -> list[Explanation]:
    """Return the mistakes that give the stds of all cases, in the order of the table.

    Args:
        cases: The weights with wrong stds.
        known: The right initializer.
        near: By how much a logarithm of a std may differ from its prediction.
        tie: Explanations that fit worse than the best one by less than this are returned as well,
            because chance may have made the difference.
        pairs: Whether two mistakes at once are tried, if one alone is not enough.
    """
    possible = [
        each
        for each in MISTAKES
        if (known.std_of or not each.shape) and each.possible(known, cases)
    ]
    by_fans = [each for each in possible if each.shape]
    by_number = [each for each in possible if not each.shape]
    groups: list[list[tuple[Mistake, ...]]] = [[(each,) for each in possible]]
    if pairs:
        groups.append([*itertools.product(by_fans, by_number)])
    for group in groups:
        errors = [_error(cases, known, mistakes, near) for mistakes in group]
        limit = min(near, min(errors, default=math.inf) + tie)
        fits = [each for each, error in zip(group, errors, strict=True) if error < limit]
        if fits:
            return [
                Explanation(
                    tuple(kind for mistake in mistakes for kind in mistake.kinds),
                    ", and ".join(each.text for each in mistakes).format(gain=known.gain_text),
                    any(each.shape for each in mistakes),
                )
                for mistakes in fits
            ]
    return []


def _error(
    cases: Sequence[Case], known: Known, mistakes: tuple[Mistake, ...], near: float
) -> float:
    """Return by how much mistakes miss the stds found at worst, in logarithms."""
    errors, changes = [], []
    for case in cases:
        std = case.right
        for mistake in mistakes:
            if mistake.shape and known.std_of:
                shape = mistake.shape(case)
                std = known.std_of(shape) if shape else None
            else:
                std = mistake.std(std, known.gain or 1.0)
            if not std:
                return math.inf
        errors.append(abs(math.log(case.std / std)))
        changes.append(abs(math.log(case.right / std)))
    # A mistake that changes nothing here explains nothing.
    return max(errors) if max(changes) > 2 * near else math.inf


def gain_mistake(found: float, right: float, tolerance: float) -> str:
    """Return the kind of mistake in a gain that is known exactly, as of an orthogonal matrix."""
    mistakes = {
        "gain missing": 1.0,
        "gain squared": right**2,
        "gain under the root": math.sqrt(right),
    }
    for kind, gain in mistakes.items():
        if abs(found / gain - 1) < tolerance < abs(right / gain - 1):
            return kind
    return "gain wrong"


def wrong_distribution(right: str, found: str) -> str:
    """Return the kind of finding where one distribution was drawn in place of another."""
    if (right, found) == ("truncated", "normal"):
        return "truncation absolute"
    if right == found or right not in DISTRIBUTIONS or found not in DISTRIBUTIONS:
        return "wrong distribution"
    return f"{found} for {right}"
