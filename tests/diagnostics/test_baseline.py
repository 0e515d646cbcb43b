"""A saved audit: what `compare` reports after each change, and that it reports nothing else."""

import json
import re

import pytest
import torch
from torch import nn

import initguide as init
from initguide import Rule


class Network(nn.Module):
    """Two layers and a buffer that the constructor computes."""

    def __init__(self, hidden=40, extra=False):
        super().__init__()
        self.up, self.down = nn.Linear(30, hidden), nn.Linear(hidden, 20)
        if extra:
            self.shift = nn.Linear(20, 20)
        self.register_buffer("slopes", 2.0 ** -torch.arange(8.0))

    def forward(self, x):
        return self.down(torch.relu(self.up(x))) * self.slopes.sum()


def audited(recipe="kaiming", *, drawn="kaiming", seed=None, change=None, **shape):
    model = Network(**shape)
    init.initialize_(model, drawn, seed=seed)
    if change:
        with torch.no_grad():
            change(model)
    return init.audit(model, recipe)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.json"


def changes(report):
    return {(row["parameter"], row["what"]) for row in report.rows}


@pytest.mark.parametrize("recipe", ["kaiming", "keep", "torch"])
@pytest.mark.parametrize("values", [False, True])
def test_a_new_draw_is_no_change(path, recipe, values):
    seed = 5 if values else None
    audited(recipe, seed=seed).save(path, values=values)
    for _ in range(20):
        report = audited(recipe, seed=seed).compare(path)
        assert report.ok, str(report)
        assert report.rows == []
        assert report.assert_ok() is None


def test_the_file_is_the_same_for_each_draw_and_sorted(path):
    texts = set()
    for _ in range(3):
        audited().save(path)
        texts.add(path.read_text(encoding="utf-8"))
    (text,) = texts
    held = json.loads(text)
    names = [*held["parameters"]]
    assert names == sorted(names) == ["down.bias", "down.weight", "slopes", "up.bias", "up.weight"]
    # sqrt(2 / 30) to six digits.
    assert held["parameters"]["up.weight"] == {
        "shape": "40 × 30",
        "dtype": "float32",
        "law": "kaiming_normal_",
        "mean": 0.0,
        "std": 0.258199,
    }
    # The mean of 1, 1/2, …, 1/128 is 255/1024 and that of their squares 21845/131072.
    assert held["parameters"]["slopes"]["found_mean"] == 0.249
    assert held["parameters"]["slopes"]["found"] == 0.3235
    assert sum('"shape"' in line for line in text.splitlines()) == len(names)


CHANGES = {
    "a wider layer": (
        {"hidden": 50},
        {("up.weight", "shape"), ("up.bias", "shape"), ("down.weight", "shape")}
        | {("down.weight", "std")},
    ),
    "a new layer": ({"extra": True}, {("shift.weight", "added"), ("shift.bias", "added")}),
    "another recipe": (
        {"recipe": "xavier", "drawn": "xavier"},
        {(f"{n}.weight", w) for n in ("up", "down") for w in ("law", "std")},
    ),
    "a layer that is skipped": (
        {"change": lambda m: m.up.reset_parameters()},
        {("up.weight", "finding"), ("up.bias", "finding")},
    ),
    "an erased buffer": (
        {"change": lambda m: m.slopes.zero_()},
        {("slopes", "mean of the values"), ("slopes", "std of the values")},
    ),
    "a buffer that is 1 % larger": (
        {"change": lambda m: m.slopes.mul_(1.01)},
        {("slopes", "mean of the values"), ("slopes", "std of the values")},
    ),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_is_reported_where_it_is(path, case):
    options, expected = CHANGES[case]
    audited().save(path)
    report = audited(**options).compare(path)
    named = {(n, {"law": "method"}.get(w, w)) for n, w in expected}
    assert changes(report) == named
    with pytest.raises(AssertionError) as raised:
        report.assert_ok()
    assert all(
        re.search(rf"^{re.escape(n)}|and \d+ more", str(raised.value), re.M) for n, _ in named
    )


def test_a_comparison_is_a_report_like_the_others(path):
    audited().save(path)
    report = audited(hidden=50, extra=True).compare(path)
    assert report.made_by == "compare"
    assert all("compare" in init.FINDINGS[each.kind].found_by for each in report.findings)
    assert json.loads(json.dumps(report.to_dict()))["rows"] == report.rows
    assert "| up.weight | shape | 40 × 30 | 50 × 30 |" in report.to_markdown()
    assert "<td>50 × 30</td>" in report._repr_html_()
    # The path of the file is one word, and may be longer.
    printed = str(report).replace(str(path), "baseline.json")
    assert max(map(len, printed.splitlines())) <= 80
    assert "nothing found wrong" in str(audited().compare(path))


def test_what_is_gone_is_reported(path):
    audited(extra=True).save(path)
    report = audited().compare(path)
    assert changes(report) == {("shift.weight", "removed"), ("shift.bias", "removed")}
    assert [each.kind for each in report.findings] == ["removed"]
    assert "2 parameters that the model does not have" in report.findings[0].message


@pytest.mark.parametrize(("factor", "ok"), [(1.0, True), (1.5, False), (1 / 1.5, False)])
def test_values_without_a_plan_are_compared_within_chance(path, factor, ok):
    """1200 values: the std of each draw has an error of 1.4 times 1 / sqrt(2400), or 3 %."""
    recipe = ["keep"]
    audited(recipe).save(path)
    report = audited(recipe, change=lambda m: m.up.weight.mul_(factor)).compare(path)
    assert report.ok == ok
    assert ok or changes(report) == {("up.weight", "std of the values")}


def test_a_method_of_the_caller_has_its_values_compared(path):
    def mine_(tensor, scale, generator=None):
        return tensor.normal_(0, scale, generator=generator)

    def report_at(scale):
        recipe = [Rule("*weight", mine_, scale=scale), Rule("*bias", "zeros_")]
        return audited(recipe, drawn=recipe)

    report_at(0.1).save(path)
    assert report_at(0.1).compare(path).ok
    assert not report_at(0.2).compare(path).ok


def test_seeded_values_are_compared_bit_for_bit(path):
    def nudge(model):
        model.up.weight[3, 4] *= 1.0001

    audited(seed=1).save(path, values=True)
    assert audited(seed=1).compare(path).ok
    assert changes(audited(seed=1, change=nudge).compare(path)) == {("up.weight", "values")}
    other = changes(audited(seed=2).compare(path))
    assert {name for name, _ in other} == {"up.weight", "down.weight"}
    held = json.loads(path.read_text(encoding="utf-8")) | {"torch": "2.0"}
    path.write_text(json.dumps(held), encoding="utf-8")
    assert "torch has changed as well: 2.0 and" in audited(seed=2).compare(path).notes[1]


def test_a_meta_model_is_compared_by_its_plan(path):
    def slopes_(tensor):
        return tensor.copy_(2.0 ** -torch.arange(8.0))

    recipe = [Rule("slopes", slopes_), "kaiming"]
    audited(recipe).save(path)

    def on_meta(**shape):
        with torch.device("meta"):
            model = Network(**shape)
        return init.audit(model, recipe)

    report = on_meta()
    assert report.ok
    assert report.partial
    assert {row["found"] for row in report.rows} == {None}
    assert report.notes[0].startswith("not known: the values of 5 of 5 parameters")
    assert changes(report.compare(path)) == set()
    assert ("down.weight", "std") in changes(on_meta(hidden=50).compare(path))
    assert "not known: the values of 5" in str(report.compare(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"path must be a file that `save` .* wrote; got none at"),
        ("{", r"path must be a file that `save` .* wrote; got .* which has another content"),
        ("[1, 2]", "which has another content"),
        ('{"parameters": [1]}', "which has another content"),
        (
            '{"parameters": {"block.weight": {"shape": "3"}}}',
            "the baseline must be of this model; .* none of its parameters, such as 'up.weight'",
        ),
    ],
)
def test_a_file_that_is_no_baseline_of_the_model(path, text, message):
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        audited().compare(path)


def test_only_audits_are_saved_and_compared(path):
    report = init.measure(nn.Linear(4, 4), torch.randn(8, 4))
    with pytest.raises(ValueError, match="only a report of audit can be saved; got one of measure"):
        report.save(path)
    with pytest.raises(ValueError, match="only a report of audit can be compared"):
        report.compare(path)
    assert not path.exists()


def test_names_and_values_that_json_knows_not(path):
    model = nn.Sequential(nn.Linear(3, 3))
    model.register_buffer("größe", torch.tensor([torch.nan, 1.0]))
    model.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
    model.register_buffer("on", torch.tensor([True, False]))
    model.register_buffer("none", torch.zeros(0))
    model.register_buffer("phase", torch.ones(3, dtype=torch.complex64))
    report = init.audit(model, "torch")
    assert [(each.kind, each.where) for each in report.findings] == [("untouched memory", "größe")]
    report.save(path, values=True)
    assert json.loads(path.read_text(encoding="utf-8"))["parameters"]["mask"]["found"] == "nan"
    assert report.compare(path).ok
