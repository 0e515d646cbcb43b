"""The decision table: what the recipe "auto" does, read from plans of small models.

The pages that show the table cannot disagree, and an edit of the recipe changes all of them.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import tables

if TYPE_CHECKING:
    from torch import nn

FAN_IN, FAN_OUT, BLOCKS = 64, 32, 9
OUTPUT_BIAS = "0; unequal classes: log of their frequencies"
FORGET_BIAS = "0; forget gate of an LSTM: log *T*"
NOTE = """\
*Before ReLU* means that a ReLU follows the layer. GELU, SiLU and SELU are relatives of the ReLU.
The number in front of a std, such as 1.41, is the *gain*. If there is none, the gain is 1. With
its gain, a layer turns inputs of size 1 into outputs of size 1. Tanh and sigmoid cannot do this,
because their outputs are below 1. Their gain keeps the sums, which go into the activation, at
size 1. For 30 and more tanh layers use orthogonal weights with gain 1 instead. In a convolution
fan_in counts the places of the kernel too. *N* is the number of residual branches. *T* is the
number of steps that an LSTM should remember; if you do not know it, use a bias of 1."""


class Draw(NamedTuple):
    """How weights are drawn: a function of initguide, and the gain in its std."""

    method: str
    gain: float


class Decision(NamedTuple):
    """A row: the layer, models that have it, and the name of its parameter in their plans."""

    layer: str
    models: "list[nn.Module]"
    parameter: str
    bias: str = "0"


def table(links: Mapping[str, str]) -> str:
    """Return the table and its note as Markdown; `links` has a link for each function's name."""
    rows = [_row(decision, links) for decision in _decisions()]
    return f"{tables.of_cells(['Layer', 'Weights', 'Bias'], rows)}\n\n{NOTE}"


def draws() -> dict[str, Draw]:
    """Return how a layer's weights are drawn, by the activation that follows it."""
    found = {}
    for decision in _decisions():
        if decision.layer.startswith("before "):
            row = _plans(decision)[0]
            found[row["before"]] = Draw(row["law"], _gain(row))
    return found


def _decisions() -> list[Decision]:
    from torch import nn

    def before(*activations: nn.Module) -> list[nn.Module]:
        head = nn.Linear(FAN_OUT, 10)
        return [nn.Sequential(nn.Linear(FAN_IN, FAN_OUT), f, head) for f in activations]

    convolution, narrow = nn.Conv2d(FAN_IN, FAN_OUT, 3), nn.Conv2d(FAN_OUT, 1, 1)
    branches = [_residual_branch(FAN_IN) for _ in range(BLOCKS)]
    lstm = nn.LSTM(FAN_IN, FAN_OUT)
    return [
        Decision("before ReLU", before(nn.ReLU()), "0.weight"),
        Decision("before GELU", before(nn.GELU()), "0.weight"),
        Decision("before SiLU", before(nn.SiLU()), "0.weight"),
        Decision("before tanh", before(nn.Tanh()), "0.weight"),
        Decision("before sigmoid (better: another activation)", before(nn.Sigmoid()), "0.weight"),
        Decision("before SELU", before(nn.SELU()), "0.weight"),
        Decision("output, or no activation follows", before(nn.ReLU()), "2.weight", OUTPUT_BIAS),
        Decision(
            "convolution before ReLU",
            [nn.Sequential(convolution, nn.ReLU(), narrow)],
            "0.weight",
        ),
        Decision(
            "last layer of a residual branch without norm",
            [nn.Sequential(*branches, nn.Linear(FAN_IN, 10))],
            "0.last.weight",
        ),
        Decision("RNN, GRU, LSTM: from the input", [lstm], "weight_ih_l0", FORGET_BIAS),
        Decision("RNN, GRU, LSTM: from the state", [lstm], "weight_hh_l0"),
        Decision("embedding", [nn.Embedding(FAN_IN, FAN_OUT)], "weight", "—"),
        Decision("LayerNorm, BatchNorm", [nn.LayerNorm(FAN_IN)], "weight"),
    ]


def _plans(decision: Decision) -> list[Mapping[str, Any]]:
    """Return the row of the decision's parameter in the plan of each of its models."""
    import initguide as init

    plans = [init.plan(model).rows for model in decision.models]
    return [row for rows in plans for row in rows if row["parameter"] == decision.parameter]


def _row(decision: Decision, links: Mapping[str, str]) -> list[str]:
    found = _plans(decision)
    method, _, gates = found[0]["law"].partition(" ×")
    by_gate = " for each gate" if gates else ""
    stds = "; ".join(filter(None, (_std(row, method) for row in found)))
    scaled = stds.replace("$1.00/", "$1/").replace("$1.00", "$")
    weights = f"{links[method]}{by_gate}{scaled and f', std {scaled}'}"
    return [decision.layer, weights, decision.bias]


def _gain(row: Mapping[str, Any]) -> float:
    """Return the std divided by the one that gain 1 would give."""
    if row["law"].startswith("xavier"):
        return row["std"] / math.sqrt(2 / (FAN_IN + FAN_OUT))
    return row["std"] * math.sqrt(row["fan_in"])


def _std(row: Mapping[str, Any], method: str) -> str:
    """Return the std as a formula of the fans."""
    if method in ("ones_", "orthogonal_"):
        return ""
    if row["fan_in"] == 1:
        return f"{row['std']:g}"
    gain = _gain(row)
    if method.startswith("xavier"):
        return rf"${gain:.2f}\sqrt{{2/(\text{{fan\_in}} + \text{{fan\_out}})}}$"
    if row["parameter"] == "0.last.weight":
        return rf"${gain * math.sqrt(BLOCKS):.2f}/\sqrt{{N\,\text{{fan\_in}}}}$"
    return rf"${gain:.2f}/\sqrt{{\text{{fan\_in}}}}$"


def _residual_branch(width: int) -> "nn.Module":
    from torch import nn

    class Branch(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(width, width), nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            return x + self.last(self.first(x).relu())

    return Branch()
