"""Rows: an experiment returns a list of dicts, one for each measured point. Ranges as text."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

from torch import Tensor

Rows = list[dict[str, Any]]
"""What an experiment returns: one dict for each row."""


def grid(**settings: Iterable[Any]) -> Rows:
    """Return each combination of the settings as one mapping; the last setting changes fastest."""
    return [dict(zip(settings, values, strict=True)) for values in product(*settings.values())]


def join(runs: Iterable[Mapping[str, Any]], curves: Iterable[Iterable[dict[str, Any]]]) -> Rows:
    """Return the rows of all runs, and add to each row the settings of its run."""
    return [{**run, **row} for run, curve in zip(runs, curves, strict=True) for row in curve]


def span(values: Iterable[Any], form: str) -> str:
    """Return the range of values as text, and one number if both ends look the same.

    Args:
        values: Numbers, at least one.
        form: The format of an end, such as `".2g"`.
    """
    values = list(values)
    return " to ".join(dict.fromkeys(format(end, form) for end in (min(values), max(values))))


def loss_curves(runs: Sequence[Mapping[str, Any]], losses: Tensor, every: int = 10) -> Rows:
    """Return learning curves as rows: the mean loss of each run over every few steps.

    Args:
        runs: The settings of each run.
        losses: The loss of each run in each step, shape `(steps, runs)`.
        every: The number of steps from row to row.

    Returns:
        For each run and each `every` steps: the settings of the run, `step` and `loss`.
    """
    parts = losses.split(every)
    ends = [min((i + 1) * every, len(losses)) for i in range(len(parts))]
    means = [part.mean(0).tolist() for part in parts]
    return join(
        runs,
        (
            [{"step": step, "loss": mean[i]} for step, mean in zip(ends, means, strict=True)]
            for i in range(len(runs))
        ),
    )


def final_losses(runs: Sequence[Mapping[str, Any]], losses: Tensor, last: int) -> Rows:
    """Return one row per run: its settings, and `loss`, the mean over the last steps.

    Args:
        runs: The settings of each run.
        losses: The loss of each run in each step, shape `(steps, runs)`.
        last: The number of steps that count. A run that diverged has the loss nan or inf.
    """
    means = losses[-last:].mean(0).tolist()
    return [{**run, "loss": mean} for run, mean in zip(runs, means, strict=True)]
