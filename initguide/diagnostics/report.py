"""A report on a model at its start: a row for each layer, verdicts below."""

import html
from dataclasses import dataclass
from typing import Any

from initguide._format import html_list, wrapped
from initguide.model.plan import table


@dataclass(frozen=True)
class Verdict:
    """A fault of a model's start.

    Attributes:
        layer: The name of the layer where it begins.
        kind: One of the keys of [VERDICTS][initguide.VERDICTS].
        words: What was found, by which factor, and what to do.
        page: The guide's page that explains it, a path below `docs`.
    """

    layer: str
    kind: str
    words: str
    page: str

    def __str__(self) -> str:
        """Return the words and the page."""
        return f"{self.kind}: {self.words} ({self.page})"


@dataclass(frozen=True)
class Report:
    """What a model does with a batch; printing it gives a table, with the verdicts below.

    Attributes:
        rows: One dict for each layer, in the order of execution; `None` is what does not apply.
        verdicts: What is wrong, worst causes first; empty for a healthy start.
        unreached: The names of layers that the batch did not reach.
    """

    rows: list[dict[str, Any]]
    verdicts: list[Verdict]
    unreached: list[str]

    @property
    def _shown(self) -> list[dict[str, Any]]:
        """The rows, rounded to what a reader can use."""
        return [
            {k: float(f"{v:.3g}") if isinstance(v, float) else v for k, v in row.items()}
            for row in self.rows
        ]

    @property
    def _lines(self) -> list[str]:
        left = [f"not reached: {', '.join(self.unreached)}"] if self.unreached else []
        return [*left, *(map(str, self.verdicts) if self.verdicts else ["nothing found wrong"])]

    def __str__(self) -> str:
        """Return the rows as a table, and the verdicts."""
        return "\n".join([table(self._shown), *wrapped(self._lines)])

    def _repr_html_(self) -> str:
        """Return the same for a notebook."""
        names = [name for name in self.rows[0] if any(row[name] is not None for row in self.rows)]
        cells = [[("" if row[n] is None else str(row[n])) for n in names] for row in self._shown]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>"
            for line in cells
        )
        top = f"<thead><tr>{head}</tr></thead>"
        return f"<table>{top}<tbody>{body}</tbody></table>{html_list(self._lines)}"

    def plot(self) -> Any:
        """Draw signal and gradient by layer; return the Figure."""
        from initguide.plotting.report import report

        return report(self.rows, self.verdicts)

    def assert_healthy(self) -> None:
        """Raise AssertionError, with the verdicts' words, if there are any; for tests and CI."""
        if self.verdicts:
            raise AssertionError("\n".join(map(str, self.verdicts)))
