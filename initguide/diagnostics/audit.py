r"""Audit a model: are its weights what the recipe meant them to be?

An initialization that a layer was left out of, or that took the wrong fan, raises no error and
trains, only worse. The values tell: a sample of $n$ weights shows its mean to $\sigma / \sqrt n$
and its std to about $\sigma / \sqrt{2n}$, so a factor of $\sqrt2$ stands out from a hundred.
"""

import html
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from initguide._format import html_list
from initguide._sharding import is_sharded
from initguide._state import random_states_kept
from initguide._tree import dequantized
from initguide.diagnostics.param_checks import Finding, Limits, checkup
from initguide.graph.trace import Trace
from initguide.initialize import Recipe, plan
from initguide.model.params import parametrizations_in_eval_mode, params_of
from initguide.model.plan import ParamPlan, Plan, table
from initguide.model.resolve import make_plan
from initguide.model.rule import Rule
from initguide.recipes.torch_defaults import torch_defaults

# The chance of any false alarm in a whole audit; each of its tests gets an equal share.
FALSE_ALARM = 1e-5
TESTS = 4


@dataclass(frozen=True)
class Audit:
    """What a model's parameters are, beside what was meant; printing it gives a table.

    Attributes:
        rows: One dict for each parameter: `parameter`, `shape`, `law`, `std` (meant), `found` (its
            std), `mean` (meant), `found_mean`, and `finding` (the kinds, or None).
        findings: What is wrong: `parameter`, `kind` and `words` of each.
        limit: How many standard errors a mean or a std may be off.
    """

    rows: list[dict[str, Any]]
    findings: list[Finding]
    limit: float

    @property
    def _lines(self) -> list[str]:
        clean = (
            f"no finding in {len(self.rows)} parameters, within {self.limit:.1f} standard errors"
        )
        return [str(each) for each in self.findings] or [clean]

    def __str__(self) -> str:
        """Return a table of what is random or wrong, and the findings in words."""
        shown = [row for row in self.rows if row["std"] != 0 or row["finding"]]
        names = ("parameter", "shape", "law", "std", "found", "finding")
        rows = [{name: row[name] for name in names} for row in shown]
        return "\n".join([*([table(rows)] if rows else []), *self._lines])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        cells = [["" if v is None else str(v) for v in row.values()] for row in self.rows]
        lines = [[*row] for row in self.rows[:1]] + cells
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>"
            for line in lines
        )
        return f"<table>{body}</table>{html_list(self._lines)}"

    def assert_clean(self) -> None:
        """Raise AssertionError, with the findings' words, if there are any; for tests and CI."""
        if self.findings:
            raise AssertionError("\n".join(map(str, self.findings)))


@torch.no_grad()
@random_states_kept()
def audit(model: nn.Module, recipe: Recipe = "auto") -> Audit:
    r"""Compare a model's parameters with what a recipe means them to be, and change nothing.

    $$z_{\text{mean}} = \frac{\bar w - \mu}{\sigma / \sqrt n}, \qquad
    z_{\text{std}} = \frac{(s^2 / \sigma^2)^{1/3} - 1 + \tfrac{2}{9\nu}}{\sqrt{2 / 9\nu}}, \qquad
    \nu = \frac{2n}{\kappa - 1}$$

    with the kurtosis $\kappa$ of the law (3 for a normal, 1.8 for a uniform one), so that a small
    weight is given its due. The law itself is tested by Kolmogorov's distance. All limits are set
    for one false alarm in 100 000 audits, whatever the number of parameters. Call it before
    training.

    The kinds of findings: `"not finite"`, `"untouched memory"`, `"torch default"` (a layer that was
    skipped), `"constant"`, `"constant rows"`, `"constant columns"`, `"value"` (a constant or fixed
    weight that is another), `"not orthogonal"`, `"fan"`, `"gain"`, `"bound for std"`,
    `"variance for std"`, `"std"`, `"mean"`, `"law"`, `"padding"`, `"identical"`.

    Args:
        model: Any module; it is not changed.
        recipe: As in [plan][initguide.plan].

    Returns:
        An [Audit][initguide.Audit]; print it, or call its `assert_clean` in a test.

    Raises:
        ValueError: As in [plan][initguide.plan], or a parameter is on the meta device.
        TypeError: As in [plan][initguide.plan].

    Source:
        The std's error by E. B. Wilson, M. M. Hilferty (1931), *The Distribution of Chi-Square*;
        the distance's limit by P. Massart (1990), *The Tight Constant in the
        Dvoretzky–Kiefer–Wolfowitz Inequality*.

    Examples:
        ```python
        from torch import nn

        import initguide as init

        model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
        init.initialize_(model, "kaiming", seed=0)
        init.audit(model, "kaiming").assert_clean()
        nn.init.kaiming_normal_(model[0].weight, mode="fan_out")
        print(init.audit(model, "kaiming").findings[0].kind)
        #> fan
        ```
    """
    meant = plan(model, recipe)
    meant.check()
    with parametrizations_in_eval_mode(model):
        return _audit(model, meant)


def _audit(model: nn.Module, meant: Plan) -> Audit:
    defaults = {entry.param.name: entry for entry in _defaults(model).entries}
    limits = Limits(FALSE_ALARM / max(1, TESTS * len(meant.entries)))
    rows, findings = [], []
    seen: dict[Any, list[tuple[str, Tensor]]] = {}
    for entry in meant.entries:
        values = _values(entry)
        found = checkup(entry, values, defaults.get(entry.param.name), limits)
        found += _identical(entry, values, seen)
        findings += found
        flat = values.flatten().double()
        rows.append(
            {
                "parameter": entry.param.name,
                "shape": " × ".join(map(str, values.shape)) or "scalar",
                "law": entry.sampler.name,
                "std": entry.sampler.std,
                "found": flat.std(correction=0).item() if flat.numel() else None,
                "mean": entry.sampler.mean,
                "found_mean": flat.mean().item() if flat.numel() else None,
                "finding": ", ".join(each.kind for each in found) or None,
            }
        )
    return Audit(rows, findings, limits.errors)


def _values(entry: ParamPlan) -> Tensor:
    tensor: Any = entry.param.tensor.detach()
    return dequantized(tensor.full_tensor() if is_sharded(tensor) else tensor)


def _identical(
    entry: ParamPlan, values: Tensor, seen: dict[Any, list[tuple[str, Tensor]]]
) -> list[Finding]:
    """Return a finding if an earlier random parameter is the same bit for bit."""
    if values.numel() < 2 or entry.sampler.std == 0 or not (values != values.flatten()[0]).any():
        return []
    if entry.sampler.std is None and torch.equal(entry.draw_(values.clone(), 0), values):
        # Nothing is drawn.
        return []
    like = seen.setdefault((values.shape, values.dtype), [])
    name = entry.param.name
    for other, earlier in like:
        if torch.equal(earlier, values):
            words = f"equal to {other} bit for bit: a copy, where each was to be drawn by itself"
            return [Finding(name, "identical", words)]
    like.append((name, values))
    return []


def _defaults(model: nn.Module) -> Plan:
    """Return what torch itself would have drawn; a law that it does not have is not known."""
    rules = [*torch_defaults(model, Trace()), Rule("*", _unknown_)]
    return make_plan(params_of(model), [(rule, False) for rule in rules], Trace())


def _unknown_(tensor: Tensor) -> Tensor:
    return tensor
