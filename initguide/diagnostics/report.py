"""What all checks return: a report with its findings."""

import html
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from initguide._checks import one_of
from initguide._format import (
    WIDTH,
    Row,
    html_list,
    html_table,
    json_ready,
    markdown_table,
    markdown_text,
    table,
    wrapped,
)
from initguide.diagnostics.kinds import FINDINGS, Severity

# More digits of a measured number would be noise.
_DIGITS = 3
# The function of `initguide.plotting` that draws the report of each check.
_PLOTS = {"measure": "report", "measure_training": "training", "coord_check": "coordinates"}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or that may be wrong.

    Attributes:
        kind: One of the keys of [FINDINGS][initguide.FINDINGS].
        where: The name of the layer where it begins, of the parameter (`audit`, `compare`) or of
            the function (`check_initializer`).
        message: What was found, in numbers.
        hint: What to do.
        page: The page that explains it, a path below `docs`.
        severity: `"error"` must be fixed; `"warning"` may be meant, so look at it.
    """

    kind: str
    where: str
    message: str
    hint: str
    page: str
    severity: Severity

    def __str__(self) -> str:
        """Return all of it in one line."""
        return (
            f"{self.severity}: {self.kind} in {self.where}: {self.message}. "
            f"Hint: {self.hint} ({self.page})"
        )

    def to_dict(self) -> dict[str, str]:
        """Return the attributes as a dict."""
        return asdict(self)


def finding(kind: str, message: str, *, where: str = "", hint: str = "") -> Finding:
    """Return a finding, with the page, the severity and the usual hint of its kind."""
    known = FINDINGS[kind]
    return Finding(kind, where, message, hint or known.hint, known.page, known.severity)


@dataclass(frozen=True)
class Report:
    """What a check found: rows of numbers, and the findings. Print it to read it.

    [measure][initguide.measure], [measure_training][initguide.measure_training],
    [audit][initguide.audit], [coord_check][initguide.coord_check] and
    [check_initializer][initguide.check_initializer] return one.

    Attributes:
        made_by: The name of the function that made it.
        rows: One dict for each layer (`measure`), layer and step (`measure_training`), parameter
            (`audit`), shape (`check_initializer`) or change (`compare`). `None` means that a number
            does not apply.
        findings: What is wrong, causes before their effects. Empty if nothing was found.
        notes: Further facts: layers that the batch did not reach, the tests that were made, and
            their limits.
        title: The comparison and its result, or an empty text.
        printed: The rows and columns that are shown, where not all of them are.
        partial: Whether something was not measured, as the notes say.
    """

    made_by: str
    rows: list[Row]
    findings: list[Finding]
    notes: list[str] = field(default_factory=list)
    title: str = ""
    printed: list[Row] | None = field(default=None, repr=False)
    partial: bool = False

    @property
    def ok(self) -> bool:
        """Whether there are no findings, of either severity."""
        return not self.findings

    def assert_ok(self) -> None:
        """Raise AssertionError with all findings, if there are any. For tests and CI."""
        if self.findings:
            lines = [self.title] if self.title else []
            if self.made_by == "compare":
                # The table is the list of the changes.
                lines += ["", self._table, ""]
            raise AssertionError("\n".join([*lines, *map(str, self.findings)]))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dict for JSON; NaN and infinity become strings."""
        return json_ready(
            {
                "made_by": self.made_by,
                "title": self.title,
                "ok": self.ok,
                "rows": self.rows,
                "findings": [each.to_dict() for each in self.findings],
                "notes": self.notes,
            }
        )

    @property
    def _shown(self) -> list[Row]:
        return self.rows if self.printed is None else self.printed

    @property
    def _lines(self) -> list[str]:
        nothing = "nothing found wrong" + (" in what was measured" if self.partial else "")
        return [str(each) for each in self.findings] or [nothing]

    def __str__(self) -> str:
        """Return the rows as a table of at most 80 columns, then findings and notes."""
        tables = [self._table] if self._shown else []
        lines = wrapped([*self._lines, *self.notes])
        return "\n".join([*wrapped([self.title] if self.title else []), *tables, *lines])

    @property
    def _table(self) -> str:
        return table(self._shown, digits=_DIGITS, width=WIDTH)

    def to_markdown(self) -> str:
        """Return the same as Markdown."""
        parts = [f"**{markdown_text(self.title)}**"] if self.title else []
        parts += [markdown_table(self._shown, digits=_DIGITS)] if self._shown else []
        lines = [f"- {markdown_text(line)}" for line in (*self._lines, *self.notes)]
        return "\n\n".join([*parts, "\n".join(lines)]) + "\n"

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        title = f"<p>{html.escape(self.title)}</p>" if self.title else ""
        rows = html_table(self._shown, digits=_DIGITS) if self._shown else ""
        return f"{title}{rows}{html_list([*self._lines, *self.notes])}"

    def save(self, path: str | Path, *, values: bool = False) -> None:
        """Write the report of an audit to a file, as the baseline of later ones.

        The file is JSON with one line per parameter: its shape, its dtype, and the method, the mean
        and the std that the plan gives. The mean and the std of the values are added where the plan
        does not know them, or where the audit found something.

        Args:
            path: The file.
            values: Whether each run draws the same values, because the model is built with a seed.
                The file then holds their mean, their std and a checksum as well.

        Raises:
            ValueError: The report is not one of [audit][initguide.audit].

        Examples:
            ```python
            import tempfile
            from pathlib import Path

            from torch import nn

            import initguide as init

            model = nn.Sequential(nn.Linear(64, 100), nn.ReLU(), nn.Linear(100, 10))
            init.initialize_(model, "kaiming", seed=0)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "weights.json")
                init.audit(model, "kaiming").save(path)
                init.audit(model, "kaiming").compare(path).assert_ok()
                report = init.audit(model, "xavier").compare(path)
            print(report.findings[0].message)
            #> the method of 2 parameters, the std of 2 parameters, the finding of 2 parameters
            ```
        """
        self._check_audit("saved")
        from initguide.diagnostics.baseline import saved

        Path(path).write_text(saved(self, values=values), encoding="utf-8")

    def compare(self, path: str | Path) -> "Report":
        """Compare the report of an audit with a file that [save][initguide.Report] wrote.

        Parameters with the same change share a printed line. Random values with a known std in the
        plan are not compared, unless the file has their checksum. Other random values may differ by
        8 standard errors. On the meta device only the plan is compared.

        Args:
            path: The file.

        Returns:
            A report with one row for each change: `parameter`, `change`, `what`, `was` and `now`.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The report is not one of [audit][initguide.audit], or the file is none that
                `save` wrote, or one of another model.
        """
        self._check_audit("compared")
        from initguide.diagnostics.baseline import compared

        return compared(self, path)

    def _check_audit(self, done: str) -> None:
        if self.made_by != "audit":
            raise ValueError(
                f"only a report of audit can be {done}; got one of {self.made_by}, which has no "
                "plan"
            )

    def plot(self) -> Any:
        """Draw the signal by layer, by step or by width; return the Figure.

        Raises:
            ValueError: The report is one of `audit` or `check_initializer`, which see no signal.
        """
        if self.made_by not in _PLOTS:
            raise ValueError(
                f"only a report of {one_of(_PLOTS)} can be plotted; got one of {self.made_by}, "
                "which has no signal"
            )
        from initguide import plotting

        return getattr(plotting, _PLOTS[self.made_by])(self.rows, self.findings)
