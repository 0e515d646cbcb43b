"""Markdown made from the records: overview, facts, decisions, code bases, claims and others."""

import inspect
import math
import pkgutil
import posixpath
import textwrap
from collections.abc import Callable
from typing import TYPE_CHECKING

import code_bases
import decisions
import defaults
import tables
from choices import answers

if TYPE_CHECKING:
    from initguide.experiments.claims import CheckResult, Claim
    from initguide.methods.record import Method
    from initguide.papers import Paper


def block(request: str, page: str) -> str:
    """Return the Markdown of a request: a name in BLOCKS, `facts TITLE` or `names NAME ...`."""
    name, _, argument = request.partition(" ")
    if name == "facts" and argument:
        return _facts(argument, page)
    if name == "names" and argument:
        return _names(argument.split())
    if request not in BLOCKS:
        names = ", ".join(map(repr, BLOCKS))
        raise ValueError(
            f"a generated block must be 'facts TITLE', 'names NAME ...' or one of {names}; "
            f"got {request!r}"
        )
    return BLOCKS[request](page)


def _overview(page: str) -> str:
    from initguide.methods.registry import METHODS

    columns = ["Method, distribution of one weight", "Good for", "Goes wrong", "Source, elsewhere"]
    rows = [
        [
            f"[{method.title}]({_link(method.page, page)})<br>{_formula(method)}",
            method.use_when,
            method.avoid_when,
            "<br>".join(filter(None, (_cite(method.paper, page), method.elsewhere))),
        ]
        for method in METHODS
    ]
    return tables.of_cells(columns, rows)


def _facts(title: str, page: str) -> str:
    from initguide.methods.registry import METHODS

    found = [method for method in METHODS if title in (method.title, *method.names)]
    if not found:
        titles = ", ".join(method.title for method in METHODS)
        raise ValueError(f"facts must name one of {titles}; got {title!r}")
    method = found[0]
    tensor, array = method.names
    lines = [
        f"**Distribution of one weight:** {_formula(method)}",
        f"**PyTorch:** {_api(tensor)} · **NumPy:** {_api(array)}",
        f"**Good for:** {method.use_when}",
        f"**Goes wrong:** {method.avoid_when}",
        *([f"**Elsewhere:** {method.elsewhere}"] if method.elsewhere else []),
        f"**Source:** {_cite(method.paper, page)}, *{method.paper.title}*",
    ]
    return f'!!! abstract "{method.title}"\n\n' + "\n".join(f"    - {line}" for line in lines)


def _names(names: list[str]) -> str:
    """Return a table of public names; a row says what the first name of `this/its_twin` does."""
    rows = []
    for twins in (name.split("/") for name in names):
        documented = pkgutil.resolve_name(f"initguide.{twins[0]}")
        first = (inspect.getdoc(documented) or "").partition("\n")[0]
        rows.append([" · ".join(map(_api, twins)), first])
    return tables.of_cells(["Name", "What it does"], rows)


def _decisions(page: str) -> str:
    from initguide.methods.registry import METHODS

    names = {"kaiming": "He", "xavier": "Xavier", "lecun": "LeCun"}
    links = {}
    for method in METHODS:
        function = method.names[0]
        name = names.get(function.partition("_")[0], method.title.lower())
        links[function] = f"[{name}]({_link(method.page, page)})"
    return decisions.table(links)


def _choices(page: str) -> str:
    """Return the chooser's answers; networks with the same answer share a row."""
    # By what the rows share: the architectures, which are the answer to the first question.
    networks: dict[tuple[str, ...], list[str]] = {}
    for answer in answers.answers(decisions.draws()):
        first, *rest = (answers.QUESTIONS[name][1][value] for name, value in answer.fits.items())
        links = " · ".join(f"[{text}]({_link(to, page)})" for text, to in answer.links.items())
        networks.setdefault((answer.title, links, *rest), []).append(first)
    rows = [
        [", ".join([" or ".join(architectures), *rest]), title, links]
        for (title, links, *rest), architectures in networks.items()
    ]
    return tables.of_cells(["Your network", "Start", "Read more"], rows)


def _bibliography(page: str) -> str:
    from initguide.papers import PAPERS

    return "\n".join(
        f"- {paper.authors} ({paper.year}). [*{paper.title}*]({paper.url}). {paper.venue}."
        f"\n{{ #{paper.key} }}\n"
        for paper in sorted(PAPERS.values(), key=lambda paper: (paper.authors, paper.year))
    )


def _claims(page: str) -> str:
    """Return a fold for each claim; closed, it is one line of a table."""
    from initguide.experiments.claims import CLAIMS

    parts = {
        "Claims about training": [claim for claim in CLAIMS if not claim.theory],
        "Checks of theory, without training": [claim for claim in CLAIMS if claim.theory],
    }
    return "\n\n".join(
        "\n\n".join((f"**{title}**{{ .part }}", *(_claim(one, page) for one in some)))
        for title, some in parts.items()
    )


def _claim(claim: "Claim", page: str) -> str:
    """Return a claim's line, and below it the headline, the experiment and all results."""
    from initguide.experiments.claims import evaluate, verdict
    from initguide.papers import PAPERS

    results, paper = evaluate(claim), PAPERS[claim.paper]
    said, cited = verdict(results), _cite(paper, page)
    who = paper.authors.split(", ")[0].split()[-1]
    cells = {
        "paper": f"{who}, {paper.year}",
        "short": claim.short,
        said.replace(" ", "-"): said,
        "result": f"{_number(results[0].mean)}{_sparkline(results[0])}",
    }
    line = " ".join(f'<span class="{name}">{text}</span>' for name, text in cells.items())
    body = [
        f"{cited}: {claim.headline}",
        f"*{claim.setup}* [The example]({_link(claim.page, page)})",
        "\n".join(f"- {_result(result)}" for result in results),
    ]
    return f'??? claim "{line}"\n\n' + textwrap.indent("\n\n".join(body), "    ")


def _sparkline(result: "CheckResult") -> str:
    """Return the mean over the seeds, their range and the bound as a picture of one line's size.

    The numbers are in the fold, so those who do not see the picture miss nothing.
    """
    bound = result.check.bound
    low, high = min(result.low, bound), max(result.high, bound)
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return ""
    stroke, left, right, mean = (
        f"{3 + 54 * (value - low) / (high - low):.1f}"
        for value in (bound, result.low, result.high, result.mean)
    )
    return (
        '\xa0<svg class="sparkline" viewBox="0 0 60 12" aria-hidden="true">'
        f'<path d="M{stroke} 1V11M{left} 6H{right}"/><circle cx="{mean}" cy="6" r="2.5"/></svg>'
    )


def _result(result: "CheckResult") -> str:
    """Return the result of a check: 'loss: 0.12 [0.03, 0.45], < 1'."""
    from initguide.experiments.claims.claim import inequality

    # Spaces that do not break, so that range and inequality stay whole in a narrow cell.
    numbers = f"{_number(result.low)},\xa0{_number(result.high)}"
    text = f"{result.check.quantity}: **{_number(result.mean)}**\xa0[{numbers}]"
    bound = inequality(result.check)
    if not result.holds:
        bound = f"not always {bound}"
    elif not result.check.supports:
        bound += " (against)"
    return f"{text},\xa0{bound}"


def _number(value: float) -> str:
    """Return a number with a minus sign, at which no table breaks a line."""
    return tables.number(value).replace("-", "\u2212")


def _formula(method: "Method") -> str:
    # A bar would end the table's cell.
    return "$" + method.law.replace("|", r"\vert ") + "$"


def _cite(paper: "Paper", page: str) -> str:
    """Return the link to the entry in the bibliography: 'He et al., 2015'."""
    names = [name.split()[-1] for name in paper.authors.split(", ")]
    who = f"{names[0]} et al." if len(names) > 2 else " and ".join(names)
    return f"[{who}, {paper.year}]({_link('references.md', page)}#{paper.key})"


def _api(name: str) -> str:
    return f"[`{name.rpartition('.')[-1]}`][initguide.{name}]"


def _link(target: str, page: str) -> str:
    return posixpath.relpath(target, posixpath.dirname(page) or ".")


BLOCKS: dict[str, Callable[[str], str]] = {
    "overview": _overview,
    "decisions": _decisions,
    "choices": _choices,
    "bibliography": _bibliography,
    "claims": _claims,
    "code bases": lambda _: code_bases.stds(),
    "code base formulas": lambda _: code_bases.formulas(),
    "defaults overview": lambda _: defaults.overview(),
    "defaults": lambda _: defaults.layers(),
    "versions": lambda _: defaults.versions(),
}
