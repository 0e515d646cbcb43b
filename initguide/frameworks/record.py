"""The record that describes what a framework draws for one parameter of one layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

Kind = Literal[
    "uniform",
    "normal",
    "truncated normal",
    "cut normal",
    "constant",
    "forget gate",
    "orthogonal",
    "orthogonal gates",
]


class Law(NamedTuple):
    """A law whose scale is an expression in the layer's sizes.

    `square` is Python: the square of a uniform law's bound; the variance of a normal, for
    `"truncated normal"` that after the cut at two standard deviations and for `"cut normal"` that
    before it; the value of a constant, or of the forget gate's bias beside zeros.
    """

    kind: Kind
    square: str = "1"

    def __str__(self) -> str:
        """Return the law as it is written: U(±1/√c); tN is a truncated normal, cN a cut one."""
        scale = self.square.replace("**2", "²").replace(" * ", "").replace(" ", "")
        match self.kind:
            case "uniform":
                return f"U(±{_root(scale)})"
            case "normal":
                return f"N(0, {scale})"
            case "truncated normal":
                return f"tN(0, {scale})"
            case "cut normal":
                return f"cN(0, {scale})"
            case "constant":
                return scale
            case "forget gate":
                return f"0, forget gate {scale}"
            case "orthogonal":
                return "orthogonal as one"
            case "orthogonal gates":
                return "orthogonal by gate"


@dataclass(frozen=True)
class Default:
    """What one parameter starts with, and our call that draws the same.

    Attributes:
        framework: Whose layer it is.
        layer: The kind of layer, a key of [LAYER_KINDS][initguide.frameworks.LAYER_KINDS].
        name: The layer's class, with the options that matter.
        parameter: What is drawn; several that are drawn alike stand together.
        law: The law of its entries.
        ours: The call that draws the same law. It names the sizes, `layer` for a PyTorch layer,
            `rng` for a NumPy generator, and `init`.
        fault: What is wrong with the default, in a few words; empty where nothing is.
    """

    framework: str
    layer: str
    name: str
    parameter: str
    law: Law
    ours: str
    fault: str = ""


# The layer's kind and class, and for each of its parameters the rest of the record.
Table = Mapping[tuple[str, str], Sequence[tuple[str, Law, str] | tuple[str, Law, str, str]]]


def records(framework: str, table: Table) -> tuple[Default, ...]:
    """Return the records of one framework."""
    return tuple(
        Default(framework, layer, name, *rest[:3], rest[3] if len(rest) == 4 else "")
        for (layer, name), parameters in table.items()
        for rest in parameters
    )


def uniform(square: str) -> Law:
    """Return the uniform law with this bound, squared."""
    return Law("uniform", square)


ZERO, ONE = Law("constant", "0"), Law("constant", "1")

# Faults that several frameworks share.
TOO_SMALL = "variance 1/(3 fan_in), where ReLU wants 2/fan_in"
HIDES = "random: it hides that the signal dies"
FORGETS = "loses the state in a few steps"


def fused(gates: int) -> str:
    """Return what is wrong with a recurrent kernel that is orthogonal as one."""
    return f"no gate is orthogonal: singular values² average 1/{gates}"


def _root(scale: str) -> str:
    numerator, _, denominator = scale.partition("/")
    if not denominator:
        return f"{float(scale) ** 0.5:g}"
    if scale == "1/k²":
        return "1/k"
    return f"1/√{denominator}" if numerator == "1" else f"√({scale})"
