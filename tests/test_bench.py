"""The benchmark's tables, on one tiny case: what the times are is nobody's promise."""

import sys
from pathlib import Path

import pytest
import torch

BENCH = Path(__file__).resolve().parents[1] / "scripts" / "bench"


@pytest.fixture
def bench(monkeypatch):
    """Import the scripts as they import each other, and forget them after."""
    monkeypatch.syspath_prepend(str(BENCH))
    names = ("table", "headline", "memory", "cases", "models", "tools")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield {name: __import__(name) for name in names}
    for name in names:
        del sys.modules[name]


def test_a_row_of_the_table(bench):
    table = bench["table"]
    fast, slow = (lambda n=n: sum(range(n)) for n in (10, 10_000))
    limit = table.Limit("bound", fast, 0.5)
    row = table.measure(table.Case("tiny", fast, "peer", slow, limit), seconds=0.01, most=3)
    assert len(row.ratios) == 3
    assert row.ratios == sorted(row.ratios)
    # A thousand times the work; twice the limit.
    assert row.ratios[0] > 10
    assert row.limit.endswith(" of bound")
    lines = table.table([row]).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "| tiny |" in lines[2]
    assert "| peer |" in lines[2]


def test_a_ratio_is_bold_if_its_range_excludes_one(bench):
    table = bench["table"]
    row = table.Row("a", 1, "torch", 2, [1.5, 2, 3], "")
    assert table.ratio(row) == "**2.00** [1.50, 3.00]"
    assert table.ratio(row._replace(ratios=[0.2, 0.5, 0.9])) == "**0.50** [0.20, 0.90]"
    assert table.ratio(row._replace(ratios=[0.9, 2, 3])) == "2.00 [0.90, 3.00]"


def test_the_headline_counts_what_differs(bench):
    row = bench["table"].Row("`normal_` 4096 × 4096", 1, "torch", 1, [0.8, 0.85, 0.9], "")
    rows = [
        row,
        row._replace(name="`trunc_normal_` 2 × 2", ratios=[2, 3, 4]),
        row._replace(name="`trunc_normal_` 64 × 64", ratios=[4, 5, 6]),
        row._replace(name="`eye_` 2 × 2", ratios=[0.9, 1, 1.1]),
    ]
    first, *others = bench["headline"].sentences({"one": rows[:2], "two": rows[2:]}).splitlines()
    assert "Of 4 pairs, ours is faster in 2 and slower in 1 (`normal_` 4096 × 4096)." in first
    assert "In the other 1, " in first
    assert "against torch: 3 to 5 times as fast." in others[0]
    assert "against torch: 0.85 times as fast." in others[1]


def test_the_figure_has_each_shown_row(bench):
    shown = bench["headline"].SHOWN
    rows = [bench["table"].Row(name, 1, "peer", 1, [1, 2, 3], "") for name in (*shown, "`else`")]
    text = bench["headline"].figure(rows)
    assert text.count("(2, 1, 3),") == len(shown)
    assert "else, peer" not in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.6e-5, "46 µs"), (2e-7, "0.2 µs")]
)
def test_durations(bench, seconds, text):
    assert bench["table"].duration(seconds) == text


def test_every_function_that_torch_has_is_a_case(bench):
    from torch import nn

    import initguide as init

    names = {case.name.split("`")[1] for case in bench["cases"].by_torch()} | {"orthogonal_"}
    assert names == {m.names[0] for m in init.METHODS if hasattr(nn.init, m.names[0])}


def test_models_are_initialized_by_both_and_measured(bench, monkeypatch):
    models = bench["models"]
    name = "MLP, 30 ReLU layers"
    monkeypatch.setattr(models, "MODELS", {name: models.MODELS[name]})
    rules, lsuv = models.models()
    assert len(rules.ours) == len(rules.peer) == 31
    # The scale of both is He's; LSUV's aim is one at each layer.
    assert all(0.1 < rms < 10 for rms in rules.ours + rules.peer)
    assert lsuv.ours == pytest.approx([1] * 31, rel=0.05)


def test_tools_are_timed_beside_a_pass_of_the_model(bench):
    """The peer of each LSUV starts from the same network, and may not touch ours."""
    cases = [case for case in bench["tools"].tools() if case.name.startswith("`lsuv_`")]
    assert len(cases) == 3
    for case in cases:
        ours, theirs = case.ours.args[0], case.peer.args[0]
        before = [parameter.clone() for parameter in ours.parameters()]
        assert all(map(torch.equal, before, theirs.parameters()))
        case.limit.call()
        assert all(map(torch.equal, before, ours.parameters()))


def test_memory_is_in_units_of_the_tensor(bench):
    """torch's own Haar matrix costs more than its own size; a tensor filled in place, nothing."""
    pytest.importorskip("resource", reason="peak memory is asked of the operating system")
    assert bench["memory"].extra("torch.nn.init", "orthogonal_", (1000, 1000)) > 0.5
    assert bench["memory"].extra("torch.nn.init", "zeros_", (1000, 1000)) < 0.5
