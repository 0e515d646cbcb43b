"""The usual mistakes in a std, each with the std that it gives.

`audit` and `check_initializer` share this table. A std alone says little: 0.047 is wrong, but why?
Each mistake predicts a std from the shape, the right formula and its gain. The mistake whose
prediction is right explains the std. `audit` knows one weight and its layer. `check_initializer`
knows several shapes with very different fans, so it can also recognize two mistakes at once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from initguide.fans import Fans, Mode
from initguide.model.distributions import UNSCALED

Shape = tuple[float, ...]
# The std at a shape `(out, in, *kernel)`; None where there is none.
StdOf = Callable[[Shape], float | None]

# Five standard errors where a std is squared.
NEAR = 0.025
_ROOT_2, _ROOT_3 = math.sqrt(2), math.sqrt(3)

# By the short names that the kinds of findings have: normal, uniform, truncated.
DISTRIBUTIONS = {name.removesuffix("_normal"): each for name, each in UNSCALED.items()}


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
        gain: The gain in its std; None if there is none.
        gain_text: The gain, for a message.
    """

    std_of: StdOf | None
    gain: float | None
    gain_text: str

    @cached_property
    def uses_mean(self) -> bool:
        """Whether the std is the same if the fans are swapped."""
        tall, wide = (self.std_of(each) if self.std_of else None for each in ((40, 360), (360, 40)))
        return tall is not None and wide is not None and abs(tall / wide - 1) < NEAR


Condition = Callable[[Known, Sequence[Case]], bool]
Factor = Callable[[float, float], float]


class Mistake(NamedTuple):
    """A mistake, and the std that it gives.

    Attributes:
        kinds: Its kinds of finding. There are two if two mistakes are usually made together.
        text: A description, after the words "as if".
        shape: The shape whose fans are used instead; None where the fans are right.
        std: The std that it gives, from the right std and the gain.
        possible: The conditions under which it is tried.
    """

    kinds: tuple[str, ...]
    text: str
    shape: Callable[[Case], Shape | None] | None = None
    std: Factor = lambda std, gain: std
    possible: tuple[Condition, ...] = ()


def fans_of(shape: Shape) -> Fans:
    """Return the fans of a shape `(out, in, *kernel)`."""
    places = math.prod(shape[2:])
    return Fans(shape[1] * places, shape[0] * places)


def _same(shape: Shape) -> Shape:
    return shape


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


def _from_layer(case: Case) -> Shape | None:
    return case.layer_shape


def _uses_mean(known: Known, _: Sequence[Case]) -> bool:
    return known.uses_mean


def _uses_one(known: Known, _: Sequence[Case]) -> bool:
    return not known.uses_mean


def _has_kernel(_: Known, cases: Sequence[Case]) -> bool:
    return any(len(case.shape) > 2 for case in cases)


def _has_gain(known: Known, _: Sequence[Case]) -> bool:
    return known.gain is not None and abs(known.gain - 1) > NEAR


def _is_one(_: Known, cases: Sequence[Case]) -> bool:
    return len(cases) == 1


def _are_several(_: Known, cases: Sequence[Case]) -> bool:
    """At a single shape, too many of the rarer mistakes fit by chance."""
    return len(cases) > 1


def _looks(name: str) -> Condition:
    return lambda known, cases: name in cases[0].looks


def _fans(
    kind: str,
    text: str,
    change: Callable[[Shape], Shape],
    *possible: Condition,
    base: Callable[[Case], Shape | None] = lambda case: case.fan_shape,
) -> Mistake:
    """Return a mistake that changes the fans of a shape."""

    def shape(case: Case) -> Shape | None:
        start = base(case)
        return change(start) if start else None

    return Mistake((kind,), text, shape=shape, possible=possible)


def _kernel(text: str, sizes: Callable[[Case], Shape], *possible: Condition) -> Mistake:
    """Return a mistake that takes some sizes of a convolution for (fan_out, fan_in)."""
    return Mistake(("kernel ignored",), text, shape=sizes, possible=(_has_kernel, *possible))


def _kernel_swapped(text: str, sizes: Callable[[Case], Shape], *possible: Condition) -> Mistake:
    """Return a mistake that also swaps the fans; a mean of both fans does not show it."""
    conditions = (_has_kernel, _uses_one, *possible)
    return Mistake(("fans swapped", "kernel ignored"), text, shape=sizes, possible=conditions)


def _number(kind: str, text: str, std: Factor, *possible: Condition) -> Mistake:
    """Return a mistake in the formula, with the right fans."""
    return Mistake((kind,), text, std=std, possible=possible)


# The most usual mistakes come first: where several fit, the first one gives the kind.
MISTAKES: tuple[Mistake, ...] = (
    _fans("wrong fans", "the fans were those of the weight's shape", _same, base=_from_shape),
    _fans("wrong fans", "the fans were those of the layer", _same, base=_from_layer),
    _fans("fans swapped", "fan_in and fan_out were swapped", _swapped),
    _fans("one fan", "only fan_in was used", _picked("fan_in"), _uses_mean),
    _fans("one fan", "only fan_out was used", _picked("fan_out"), _uses_mean),
    _fans("fans swapped", "the fans of the shape were swapped", _swapped, base=_from_shape),
    _fans(
        "one fan",
        "only fan_in of the shape was used",
        _picked("fan_in"),
        _uses_mean,
        base=_from_shape,
    ),
    _fans(
        "one fan",
        "only fan_out of the shape was used",
        _picked("fan_out"),
        _uses_mean,
        base=_from_shape,
    ),
    _number("gain missing", "{gain} was missing", lambda std, gain: std / gain, _has_gain),
    _number(
        "gain squared",
        "{gain} was multiplied in once too often",
        lambda std, gain: std * gain,
        _has_gain,
    ),
    _number(
        "gain wrong",
        "the gain of ReLU, sqrt(2), was missing",
        lambda std, gain: std / _ROOT_2,
        _is_one,
    ),
    _number(
        "gain wrong",
        "the gain of ReLU, sqrt(2), was multiplied in",
        lambda std, gain: std * _ROOT_2,
        _is_one,
    ),
    _number(
        "std used as bound",
        "the std was used as the bound of a uniform distribution",
        lambda std, gain: std / _ROOT_3,
        _looks("uniform"),
    ),
    _number(
        "bound used as std",
        "the bound of a uniform distribution was used as the std",
        lambda std, gain: std * _ROOT_3,
    ),
    _number("square root missing", "the variance was used", lambda std, gain: std**2),
    _number("square root twice", "the root was taken twice", lambda std, gain: math.sqrt(std)),
    _fans(
        "fan averaged",
        "the mean of fan_in and fan_out was used",
        _picked("fan_avg"),
        _uses_one,
    ),
    _fans(
        "fan averaged",
        "the geometric mean of fan_in and fan_out was used",
        _picked("fan_geo_avg"),
        _uses_one,
    ),
    Mistake(
        ("wrong layout",),
        "the shape was read in the other layout",
        shape=_misread,
        possible=(_has_kernel,),
    ),
    _kernel("only the channels were counted", lambda case: case.shape[:2]),
    _kernel_swapped("only the channels were counted, and swapped", lambda case: case.shape[1::-1]),
    _kernel("shape[0] and shape[1] were the fans", lambda case: case.own[1::-1], _are_several),
    _kernel_swapped("shape[1] and shape[0] were the fans", lambda case: case.own[:2], _are_several),
    _kernel(
        "shape[0] and shape[-1] were the fans",
        lambda case: (case.own[-1], case.own[0]),
        _are_several,
    ),
    _kernel_swapped(
        "shape[-1] and shape[0] were the fans",
        lambda case: (case.own[0], case.own[-1]),
        _are_several,
    ),
    _kernel(
        "the kernel was counted in fan_in only",
        lambda case: (case.shape[0], math.prod(case.shape[1:])),
    ),
    _kernel(
        "the kernel was counted in fan_out only",
        lambda case: (math.prod(case.shape) / case.shape[1], case.shape[1]),
    ),
    _number(
        "gain under the root",
        "the root of {gain} was used",
        lambda std, gain: std / math.sqrt(gain),
        _has_gain,
    ),
    _number(
        "truncation uncorrected",
        "a cut at two std was not corrected for",
        lambda std, gain: std * DISTRIBUTIONS["truncated"].std,
        _looks("truncated"),
    ),
    _number(
        "square root missing",
        "the bound of a uniform distribution was used without its root",
        lambda std, gain: _ROOT_3 * std**2,
        _looks("uniform"),
    ),
    _number(
        "square root missing",
        "gain / fan was used, without a root",
        lambda std, gain: std**2 / gain,
        _has_gain,
        _are_several,
    ),
    _number(
        "square root missing",
        "1 / fan was used",
        lambda std, gain: (std / gain) ** 2,
        _has_gain,
        _are_several,
    ),
)
