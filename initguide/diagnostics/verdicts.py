"""Judge what was measured.

A layer is named by where the fault begins. What a fault entails is not reported beside it: behind a
zero layer there is no signal to judge.
"""

from initguide.diagnostics.depth_checks import gradient, ignored, signal
from initguide.diagnostics.hooks import Layer
from initguide.diagnostics.layer_checks import (
    cloned,
    cut_off,
    dead,
    inputs,
    non_finite,
    saturated,
    symmetric,
    zero,
)
from initguide.diagnostics.messages import hidden
from initguide.diagnostics.report import Verdict


def judge(layers: list[Layer], loss: float | None) -> list[Verdict]:
    """Return the verdicts on a model, causes before what they may bring about.

    Args:
        layers: As watched, with numbers read.
        loss: The loss, if there was one.

    Returns:
        At most one verdict of each kind.
    """
    if found := [*non_finite(layers, loss)]:
        return found
    found = [*inputs(layers[0]), *cloned(layers), *zero(layers)]
    if any(verdict.kind == "zero layer" for verdict in found):
        return found
    found += [*dead(layers), *symmetric(hidden(layers)), *saturated(layers)]
    # A layer that lets nothing through explains all that lies around it.
    if any(
        layer.dead == layer.units and cut_off(layers[i + 1 :]) for i, layer in enumerate(layers)
    ):
        return found
    up, down = [*signal(layers)], [*gradient(layers)]
    if any(verdict.kind == "residual sums grow" for verdict in up):
        down = [verdict for verdict in down if verdict.kind != "gradient explodes"]
    return [*found, *up, *ignored(layers), *down]
