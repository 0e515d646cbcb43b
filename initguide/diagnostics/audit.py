r"""Audit a model: are its weights the values that the recipe draws?

If an initialization misses a layer or takes the wrong fan, it raises no error. The model trains,
only worse. The values show it: a sample of $n$ weights shows its mean to $\sigma / \sqrt n$ and its
std to about $\sigma / \sqrt{2n}$, so a hundred weights are enough to see a factor of $\sqrt2$.
"""

import hashlib
from glob import escape
from typing import Any

import torch
from torch import Tensor, nn

from initguide._checks import check_model
from initguide._isolation import isolated
from initguide._sharding import is_sharded
from initguide._state import random_states_kept
from initguide._torch_internals import unwrapped
from initguide._tree import dequantized, is_quantized
from initguide.diagnostics.param_checks import check_buffer, check_param
from initguide.diagnostics.report import Finding, Report, finding
from initguide.graph.trace import Trace
from initguide.initialize import Recipe, plan
from initguide.model.distributions import Limits
from initguide.model.params import Param, params_of, private_parametrizations
from initguide.model.patterns import (
    FEW,
    MANY_ZEROS,
    NEAR_IDENTITY,
    SMOOTH,
    part_of,
    pattern,
)
from initguide.model.plan import ParamPlan, Plan
from initguide.model.resolve import make_plan
from initguide.model.rule import Rule
from initguide.recipes.torch_defaults import torch_defaults

# The chance of any false alarm in a whole audit. Each of its tests gets an equal share.
FALSE_ALARM = 1e-5
TESTS = 4
# Torch converts no values of this dtype.
_UNREADABLE = (torch.float4_e2m1fn_x2,)
_PRINTED = ("parameter", "shape", "law", "std", "found", "finding")


@torch.no_grad()
@random_states_kept()
def audit(
    model: nn.Module,
    recipe: Recipe = "auto",
    *,
    example: Any = None,
    ranks: bool = False,
    **options: Any,
) -> Report:
    r"""Compare a model's parameters with the values that a recipe draws, and change nothing.

    $$z_{\text{mean}} = \frac{\bar w - \mu}{\sigma / \sqrt n}, \qquad
    z_{\text{std}} = \frac{(s^2 / \sigma^2)^{1/3} - 1 + \tfrac{2}{9\nu}}{\sqrt{2 / 9\nu}}, \qquad
    \nu = \frac{2n}{\kappa - 1}$$

    with the kurtosis $\kappa$ of the distribution (3 for a normal, 1.8 for a uniform one), so that
    the limits are right for small weights as well. The shape of the distribution is tested by
    Kolmogorov's distance. All limits are set for one false alarm in 100 000 audits, for any number
    of parameters. Call it before training.

    The keys of [FINDINGS][initguide.FINDINGS] with `"audit"` in `found_by` are the kinds of its
    findings: for example `"torch default"` (a layer that was skipped), `"fans swapped"`,
    `"gain missing"` or `"identical"` (a copy of another parameter).

    Right values of a buffer without a rule are not known, and a note names it. Only values that
    untouched memory holds, NaN and denormal ones, are a finding. Parameters on the meta device hold
    no values. Then the report has the plan alone, and a note says so.

    Args:
        model: Any module; it is not changed.
        recipe: As in [plan][initguide.plan].
        example: As in [plan][initguide.plan].
        ranks: Whether to compare the values with those of the other processes of
            `torch.distributed`. Each process must call this function, and hold the whole model or
            its parts as DTensors.
        **options: As in [plan][initguide.plan].

    Returns:
        A [Report][initguide.Report]; print it, or call its `assert_ok` in a test. Its rows have
        `parameter`, `shape`, `dtype`, `law`, the right `std` and `mean`, their values in the model,
        `found` and `found_mean`, `random` (whether the values are drawn), `checksum` and `finding`
        (the kinds, or None). Printed are the parameters that are random or have findings.

    Raises:
        ValueError: As in [plan][initguide.plan], or `ranks` is set in a single process.
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
        init.audit(model, "kaiming").assert_ok()
        nn.init.kaiming_normal_(model[0].weight, mode="fan_out")
        print(init.audit(model, "kaiming").findings[0].kind)
        #> fans swapped
        ```
    """
    check_model(model)
    if ranks and not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        raise ValueError("ranks needs a process group of torch.distributed; got none")
    # A finding may compare with the gain of an activation, which comes from calls of it.
    with private_parametrizations(model), isolated(model, values=False):
        right = plan(model, recipe, example=example, **options)
        return _audit(unwrapped(model), right, ranks=ranks)


def limits_for(parameters: int) -> Limits:
    """Return the limits of each test in an audit of some number of parameters."""
    return Limits(FALSE_ALARM / max(1, TESTS * parameters))


def _audit(model: nn.Module, right: Plan, *, ranks: bool) -> Report:
    defaults = {entry.param.name: entry for entry in _defaults(model).entries}
    limits = limits_for(len(right.entries))
    rows, findings = [], []
    seen: dict[Any, list[tuple[str, Tensor]]] = {}
    for entry in right.entries:
        values, found = _values(entry.param), []
        if not values.is_meta:
            found = check_param(entry, values, defaults.get(entry.param.name), limits)
            found += _identical(entry, values, seen)
        findings += found
        rows.append(_row(entry.param, values, found, entry))
    planned = {row["parameter"] for row in rows}
    buffers = [param for param in params_of(model) if param.name not in planned]
    for buffer in buffers:
        tensor = buffer.tensor
        if tensor.layout != torch.strided or tensor.is_nested or tensor.dtype in _UNREADABLE:
            continue
        values = _values(buffer)
        found = check_buffer(buffer.name, values)
        findings += found
        rows.append(_row(buffer, values, found))
    findings += _unequal_on_ranks(rows) if ranks else []
    note = (
        f"compared: {len(right.entries)} parameters; a mean or a std may be off by "
        f"{limits.errors:.2f} standard errors"
    )
    notes, meta = [note], [row for row in rows if row["checksum"] is None]
    if meta:
        notes = [
            f"not known: the values of {len(meta)} of {len(rows)} parameters, which are on the "
            "meta device"
        ]
    if buffers:
        names = ", ".join(buffer.name for buffer in buffers[:3])
        more = ", …" if len(buffers) > 3 else ""
        notes.append(f"not known: whether buffers without a rule are right, such as {names}{more}")
    shown = [row for row in rows if (row["law"] and row["std"] != 0) or row["finding"]]
    printed = [{name: row[name] for name in _PRINTED} for row in shown]
    return Report("audit", rows, findings, notes, printed=printed, partial=bool(meta))


def _row(
    param: Param, values: Tensor, found: list[Finding], entry: ParamPlan | None = None
) -> dict[str, Any]:
    """Return the row of a parameter, or of a buffer without a rule."""
    sampler = entry.sampler if entry else None
    flat = values.flatten().to(torch.complex128 if values.is_complex() else torch.float64)
    is_held = flat.numel() > 0 and not flat.is_meta
    std = sampler.std if sampler else None
    return {
        "parameter": param.name,
        "shape": " × ".join(map(str, values.shape)) or "scalar",
        "dtype": str(param.tensor.dtype).removeprefix("torch."),
        "law": sampler.name if sampler else None,
        "std": std,
        "found": flat.std(correction=0).item() if is_held else None,
        "mean": sampler.mean if sampler else None,
        "found_mean": flat.mean().real.item() if is_held else None,
        "random": bool(std) or _looks_random(param, values),
        "checksum": None if values.is_meta else _checksum(values),
        "finding": ", ".join(each.kind for each in found) or None,
    }


def _looks_random(param: Param, values: Tensor) -> bool:
    """Return whether a new model may hold other values; few values of a buffer are the same."""
    if values.is_meta or is_quantized(param.tensor) or values.is_complex():
        return values.is_complex()
    found = pattern(values.double(), part_of(values))
    is_fixed = found not in ("", NEAR_IDENTITY, SMOOTH, MANY_ZEROS)
    return not is_fixed and (param.is_parameter or values.numel() >= FEW)


def _checksum(values: Tensor) -> str:
    held = values.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return hashlib.blake2b(held.data, digest_size=6).hexdigest()


def _unequal_on_ranks(rows: list[dict[str, Any]]) -> list[Finding]:
    """Return a finding for each parameter that some processes hold with other values.

    The rows get the kind of these findings as well.
    """
    own = {row["parameter"]: row["checksum"] for row in rows}
    everyone: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(everyone, own)
    found = []
    for row in rows:
        name = row["parameter"]
        first = everyone[0].get(name)
        ranks = [str(rank) for rank, held in enumerate(everyone) if held.get(name) != first]
        if ranks:
            message = f"the values of rank {', '.join(ranks)} are not those of rank 0"
            found.append(finding("replicas differ", message, where=name))
            row["finding"] = ", ".join(filter(None, (row["finding"], "replicas differ")))
    return found


def _values(param: Param) -> Tensor:
    tensor: Any = param.tensor.detach()
    return dequantized(tensor.full_tensor() if is_sharded(tensor) else tensor)


def _identical(
    entry: ParamPlan, values: Tensor, seen: dict[Any, list[tuple[str, Tensor]]]
) -> list[Finding]:
    """Return a finding if an earlier random parameter has the same values, bit for bit."""
    if values.numel() < 2 or entry.sampler.std == 0 or not (values != values.flatten()[0]).any():
        return []
    if entry.sampler.std is None and torch.equal(entry.draw_(values.clone(), 0), values):
        # Nothing is drawn.
        return []
    like = seen.setdefault((values.shape, values.dtype), [])
    name = entry.param.name
    for other, earlier in like:
        if torch.equal(earlier, values):
            return [
                finding("identical", f"the values are those of {other}, bit for bit", where=name)
            ]
    like.append((name, values))
    return []


def _defaults(model: nn.Module) -> Plan:
    """Return what torch itself draws; for parameters without a default, nothing is known."""
    params = params_of(model)
    # The formulas are for real numbers.
    others = [Rule(escape(p.name), _unknown_) for p in params if p.tensor.is_complex()]
    rules = [*others, *torch_defaults(model, Trace()), Rule("*", _unknown_)]
    named = [(rule, "torch") for rule in rules]
    return make_plan(params, named, Trace(), leave_undecided=True)


def _unknown_(tensor: Tensor) -> Tensor:
    return tensor
