"""The record of one default: how a framework initializes one parameter of one layer."""

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


class Distribution(NamedTuple):
    """A distribution whose scale is an expression in the layer's sizes.

    Attributes:
        kind: The kind of distribution.
        square: The scale, a Python expression. For `"uniform"` it is the square of the bound. For
            `"normal"` it is the variance; for `"truncated normal"` the variance after the cut at
            two standard deviations, and for `"cut normal"` the variance before the cut. For
            `"constant"` it is the value, and for `"forget gate"` the value of that gate's bias; the
            other biases are zero.
    """

    kind: Kind
    square: str = "1"

    def __str__(self) -> str:
        """Return the usual notation, U(±1/√c); tN is a truncated normal and cN a cut normal."""
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
    """The default initialization of one parameter, and our call for the same distribution.

    Attributes:
        framework: The framework of the layer.
        layer: The kind of layer, a key of [LAYER_KINDS][initguide.frameworks.LAYER_KINDS].
        name: The class of the layer, with the options that matter.
        parameter: The name of the parameter. Parameters with the same distribution share a record.
        distribution: The distribution of its entries.
        ours: Our call for the same distribution. It uses the sizes, `init`, and either `layer`, a
            PyTorch layer, or `rng`, a NumPy generator.
        fault: The problem of the default in a few words; empty if there is none. A weight has none
            if its variance is LeCun's, Xavier's or He's with the fans of one gate, group and
            stride, or if each gate is orthogonal. A bias has none if it is zero, or one in a forget
            gate. Embeddings and normalizations have none.
    """

    framework: str
    layer: str
    name: str
    parameter: str
    distribution: Distribution
    ours: str
    fault: str = ""


# From a layer's kind and class to the parameter, distribution, call and fault of each record.
Row = tuple[str, Distribution, str] | tuple[str, Distribution, str, str]
Table = Mapping[tuple[str, str], Sequence[Row]]


def records(framework: str, table: Table) -> tuple[Default, ...]:
    """Return the records of one framework."""
    return tuple(
        Default(framework, layer, name, *rest[:3], rest[3] if len(rest) == 4 else "")
        for (layer, name), parameters in table.items()
        for rest in parameters
    )


def uniform(square: str) -> Distribution:
    """Return the uniform distribution with this squared bound."""
    return Distribution("uniform", square)


ZERO, ONE = Distribution("constant", "0"), Distribution("constant", "1")

# Problems that several frameworks share.
TOO_SMALL = "variance 1/(3 fan_in), a third of LeCun's"
STATE_SMALL = "variance 1/(3h), a third of LeCun's"
INPUTS_SMALL = "variance 1/(3h); c inputs need 1/c"
HIDES = "random: it hides that the signal dies"
FORGETS = "random, and the forget gate is about 0"


def fused(gates: int) -> str:
    """Return the problem of a recurrent kernel that is one orthogonal matrix for all gates."""
    return f"no gate is orthogonal: singular values² average 1/{gates}"


def _root(scale: str) -> str:
    numerator, _, denominator = scale.partition("/")
    if not denominator:
        return f"{float(scale) ** 0.5:g}"
    if scale == "1/k²":
        return "1/k"
    return f"1/√{denominator}" if numerator == "1" else f"√({scale})"
