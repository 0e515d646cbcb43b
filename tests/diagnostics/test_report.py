"""The one report of all checks: printing, JSON, Markdown, HTML, plot."""

import itertools
import json
import math
from dataclasses import FrozenInstanceError
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
import torch
from markdown_it import MarkdownIt
from models import classes, mlp, vectors
from starts import FAULTY
from torch import nn

import initguide as init
from initguide._format import WIDTH, json_ready, markdown_text, table
from initguide.diagnostics.report import finding

ROOT = Path(__file__).resolve().parents[2]


def measured(*, ok):
    model = mlp(20)
    init.initialize_(model, "kaiming" if ok else "xavier", seed=0)
    return init.measure(model, vectors(0), loss=classes)


def audited(*, ok):
    model = mlp(2)
    init.initialize_(model, seed=0)
    if not ok:
        init.normal_(model[0].bias)
        with torch.no_grad():
            model[2].weight.mul_(5)
    return init.audit(model)


def checked(*, ok):
    mine_ = init.kaiming_normal_ if ok else partial(init.kaiming_normal_, mode="fan_out")
    return init.check_initializer(mine_, "kaiming_normal_")


# Each: a function that makes a report, and the kinds and places of its findings.
def coordinates(ok):
    """A layer whose weights do not depend on the width, or are the width itself."""

    def make(width):
        model = nn.Sequential(nn.Linear(8, 4))
        init.constant_(model[0].weight, 1.0 if ok else float(width))
        return model

    return init.coord_check(make, [8, 16], torch.ones(4, 8), lambda y: y.mean())


def training(ok):
    """A network whose optimizer holds all layers, or lacks the first one."""
    model = mlp(2)
    init.initialize_(model, seed=0)
    optimizer = torch.optim.SGD(model[0 if ok else 2 :].parameters(), lr=0.1)
    return init.measure_training(model, [vectors(0)] * 4, optimizer, classes, steps=4)


REPORTS = {
    "measure": (measured, [("signal vanishes", "0"), ("gradient vanishes", "38")]),
    "measure_training": (training, [("not in the optimizer", "0")]),
    "audit": (audited, [("wrong values", "0.bias"), ("std wrong", "2.weight")]),
    "check_initializer": (checked, [("fans swapped", "kaiming_normal_")]),
    "coord_check": (coordinates, [("signal grows", "0")]),
}


@pytest.fixture(scope="module", params=REPORTS)
def pair(request):
    """The name of a function, a report of it without findings, a report with some, and these."""
    make, expected = REPORTS[request.param]
    return request.param, make(ok=True), make(ok=False), expected


def test_all_reports_have_the_same_interface(pair):
    name, good, bad, expected = pair
    for report in (good, bad):
        assert type(report) is init.Report
        assert report.made_by == name
        assert report.rows
        assert len({tuple(row) for row in report.rows}) == 1
        assert all(isinstance(note, str) for note in report.notes)
    assert good.ok
    assert good.findings == []
    assert good.assert_ok() is None
    assert "nothing found wrong" in str(good)
    assert not bad.ok
    assert [(each.kind, each.where) for each in bad.findings] == expected
    assert all(type(each) is init.Finding for each in bad.findings)
    assert all(name in init.FINDINGS[each.kind].found_by for each in bad.findings)
    with pytest.raises(AssertionError) as raised:
        bad.assert_ok()
    assert all(str(each) in str(raised.value) for each in bad.findings)
    assert "nothing found wrong" not in str(bad)


def test_a_report_says_all_of_its_findings_and_notes(pair):
    *_, bad, _ = pair
    words = " ".join(str(bad).split())
    for each in (*map(str, bad.findings), *bad.notes):
        assert " ".join(each.split()) in words


def test_a_report_is_at_most_80_columns_wide(pair):
    for report in pair[1:3]:
        assert max(map(len, str(report).splitlines())) <= WIDTH == 80


def test_a_report_goes_through_json(pair):
    for report in pair[1:3]:
        held = report.to_dict()
        assert json.loads(json.dumps(held, allow_nan=False)) == held
        assert held["rows"] == report.rows
        assert held["ok"] == report.ok
        assert held["notes"] == report.notes
        assert [init.Finding(**each) for each in held["findings"]] == report.findings
        assert set(held) == {"made_by", "title", "ok", "rows", "findings", "notes"}


def cells_of(markdown):
    """The header, the rows and the list of a Markdown text, as a parser sees it."""
    tokens = MarkdownIt().enable("table").parse(markdown)
    found = {"th_open": [], "td_open": [], "paragraph_open": []}
    for opening, token in itertools.pairwise(tokens):
        if opening.type in found:
            text = "".join(each.content for each in token.children)
            found[opening.type].append(text)
    return found


def test_markdown_has_the_table_and_the_findings(pair):
    for report in pair[1:3]:
        shown = report.rows if report.printed is None else report.printed
        found = cells_of(report.to_markdown())
        assert set(found["th_open"]) <= set(shown[0])
        assert len(found["td_open"]) == len(shown) * len(found["th_open"])
        first = found["th_open"][0]
        assert found["td_open"][:: len(found["th_open"])] == [row[first] for row in shown]
        lines = [*map(str, report.findings), *report.notes] or ["nothing found wrong"]
        assert set(lines) <= set(found["paragraph_open"])


class Texts(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.texts, self.tags = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def test_html_has_the_table_and_the_findings(pair):
    for report in pair[1:3]:
        shown = report.rows if report.printed is None else report.printed
        page = Texts(report._repr_html_())
        assert page.tags.count("tr") == 1 + len(shown)
        assert {*map(str, report.findings), *report.notes} <= set(page.texts)


def test_only_reports_of_a_signal_can_be_plotted(pair):
    name, good, bad, _ = pair
    for report in (good, bad):
        if name in ("measure", "measure_training", "coord_check"):
            plt.close(report.plot())
        else:
            with pytest.raises(ValueError, match=f"'coord_check' can be .* got one of {name}"):
                report.plot()


def odd(name):
    model = nn.Module()
    model.add_module(name, nn.Linear(4, 4))
    model.forward = lambda x: model.get_submodule(name)(x)
    return init.measure(model, vectors(0, 4) + 100)


@pytest.mark.parametrize("name", ["<b>", "a|b", "*a*", "_a_", "`a`", "[a](b)", "<script>"])
def test_names_are_escaped(name):
    report = odd(name)
    assert report.findings[0].where == name
    page = Texts(report._repr_html_())
    assert name in page.texts
    assert "script" not in page.tags
    assert "b" not in page.tags
    found = cells_of(report.to_markdown())
    assert found["td_open"][0] == name
    assert str(report.findings[0]) in found["paragraph_open"]


def test_json_holds_numbers_that_are_not_finite_as_text():
    make, batch, _ = FAULTY["a weight that is NaN"]
    report = init.measure(make(0), batch(0))
    held = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert held["rows"][1]["rms"] == "nan"
    assert math.isnan(float(held["rows"][1]["rms"]))
    values = {"a": (math.inf, -math.inf, 1.5), 2: [None, True, "x", torch.float32]}
    expected = {"a": ["inf", "-inf", 1.5], "2": [None, True, "x", "torch.float32"]}
    assert json_ready(values) == expected


# Findings.


def test_each_kind_has_a_page_a_hint_a_severity_and_a_function():
    for name, kind in init.FINDINGS.items():
        assert (ROOT / "docs" / kind.page).is_file(), name
        assert kind.hint, name
        assert kind.severity in ("error", "warning"), name
        # A comparison has rows only if something has changed: see test_baseline.py.
        assert set(kind.found_by) <= {*REPORTS, "compare"}, name
        assert kind.found_by, name


def test_a_finding_takes_severity_page_and_hint_from_its_kind():
    found = finding("cloned layers", "the weights are those of a", where="b")
    assert found.severity == "warning"
    assert str(found) == (
        "warning: cloned layers in b: the weights are those of a. Hint: a copied layer was not "
        "drawn anew: call initialize_ (guide/methods/constant.md)"
    )
    assert found.to_dict() == {
        "kind": "cloned layers",
        "where": "b",
        "message": "the weights are those of a",
        "hint": "a copied layer was not drawn anew: call initialize_",
        "page": "guide/methods/constant.md",
        "severity": "warning",
    }
    assert finding("dead units", "3 of 4").severity == "error"
    assert finding("dead units", "3 of 4", hint="use another bias").hint == "use another bias"


def test_a_warning_is_a_finding_as_well():
    make, batch, _ = FAULTY["deep copies"]
    report = init.measure(make(0), batch(0))
    assert [each.severity for each in report.findings] == ["warning"]
    assert not report.ok
    with pytest.raises(AssertionError, match="warning: cloned layers"):
        report.assert_ok()


# Tables.


def test_a_column_of_zeros_is_kept_and_an_empty_one_is_not():
    model = nn.Sequential(nn.Linear(30, 40), nn.ReLU(), nn.Linear(40, 9))
    init.initialize_(model, seed=0)
    for parameter in model.parameters():
        init.zeros_(parameter)
    report = init.audit(model)
    names = str(report).splitlines()[0].split()
    assert names == ["parameter", "shape", "law", "std", "found", "finding"]
    assert {row["found"] for row in report.printed} == {0.0}
    assert (
        table([{"a": 0.0, "b": None, "c": 0}, {"a": 0.0, "b": None, "c": 0}]) == "a  c\n0  0\n0  0"
    )


def test_a_wide_table_is_split_and_long_names_are_shortened():
    row = {"name": "encoder." * 10 + "weight"} | {f"column_{i}": 1.23456 for i in range(12)}
    text = table([row, row], digits=3, width=100)
    parts = [part.splitlines() for part in text.split("\n\n")]
    assert len(parts) == 3
    assert max(len(line) for part in parts for line in part) <= 100
    assert all(part[0].startswith("name ") for part in parts)
    assert all(part[1].startswith("…") and "encoder.weight " in part[1] for part in parts)
    columns = [name for part in parts for name in part[0].split()[1:]]
    assert columns == [f"column_{i}" for i in range(12)]
    assert "1.23 " in parts[0][1]


def test_printing():
    make, batch, _ = FAULTY["Xavier before ReLU"]
    report = init.measure(make(0), batch(0))
    first, second = str(report).split("\n\n")
    lines = first.splitlines()
    assert lines[0].split()[:4] == ["layer", "kind", "weight", "fan_in"]
    assert len(lines) == 22
    lines = second.splitlines()
    assert lines[0].split() == ["layer", "rms", "zeros", "dead", "signal_ratio"]
    assert lines[22].startswith("error: signal vanishes in 0: ")
    assert "of 0.7" in lines[23]
    # Wrapped with a hanging indent, and each word is there.
    assert {len(line) - len(line.lstrip()) for line in lines[23:]} == {4}
    assert max(map(len, lines[22:])) <= 80 < len(str(report.findings[0]))
    assert " ".join(line.strip() for line in lines[22:]) == str(report.findings[0])
    assert "gradient_rms" not in str(report)
    page = report._repr_html_()
    assert page.count("<tr>") == 22
    assert "signal vanishes" in page


def test_a_name_inside_markdown_keeps_its_underscores():
    assert markdown_text("weight_rms") == "weight_rms"
    assert markdown_text("__call__") == "\\_\\_call\\_\\_"


def test_plot():
    make, batch, _ = FAULTY["Xavier before ReLU"]
    report = init.measure(make(0), batch(0), loss=classes)
    figure = report.plot()
    signal, gradient = figure.axes
    lines = {line.get_label(): line for line in signal.lines}
    lines |= {line.get_label(): line for line in gradient.lines}
    labels = {"rms": "RMS", "std": "std over the batch", "gradient_rms": "RMS of the gradient"}
    for key, label in labels.items():
        drawn = lines[label].get_ydata().tolist()
        assert drawn == pytest.approx([row[key] for row in report.rows])
    assert [text.get_text() for text in signal.texts] == ["signal vanishes"]
    assert [text.get_text() for text in gradient.texts] == ["gradient vanishes"]
    assert gradient.get_yscale() == "log"
    plt.close(figure)
    assert len(init.measure(make(0), batch(0)).plot().axes) == 1


def test_a_report_keeps_what_it_says():
    report = measured(ok=True)
    for name in ("findings", "rows", "notes"):
        with pytest.raises(FrozenInstanceError):
            setattr(report, name, [])
