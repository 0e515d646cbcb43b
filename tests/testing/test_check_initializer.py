"""check_initializer: its limits, its report, and errors for bad input."""

# The legacy global state must not change.
# ruff: noqa: NPY002

import dataclasses
import functools
import random

import numpy as np
import pytest
import scipy.stats
import torch
from initializers import he

import initguide as init

partial = functools.partial


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_std_that_is_off_by_three_percent_is_found(seed):
    for factor in (0.97, 1.03):
        off = he(lambda x, factor=factor: factor * x)
        report = init.check_initializer(off, "kaiming_normal_", seed=seed)
        assert [finding.kind for finding in report.findings] == ["gain wrong"]


def test_the_limits_are_those_of_one_false_alarm_in_a_million():
    from initguide.testing.draws import LIMIT, TESTS

    # Of a normal number, both sides.
    assert TESTS * 2 * scipy.stats.norm.sf(LIMIT) == pytest.approx(1e-6)


def test_a_shape_that_raises_is_named_and_the_other_shapes_are_compared():
    def dense_(tensor, generator=None):
        fan_out, _ = tensor.shape
        return init.normal_(tensor, std=(2 / fan_out) ** 0.5, generator=generator)

    report = init.check_initializer(dense_, "kaiming_normal_")
    assert [finding.kind for finding in report.findings] == ["raises", "fans swapped"]
    message = report.findings[0].message
    assert "at shape (72, 16, 3, 5); it raised ValueError: too many values" in message
    assert [row["shape"] for row in report.rows] == ["40 × 360", "360 × 40", "24 × 24"]
    only = init.check_initializer(dense_, "kaiming_normal_", shapes=[(300, 100)]).findings
    assert [finding.kind for finding in only] == ["fans swapped"]


def test_an_initializer_that_raises_later_is_named():
    left = iter(range(12))

    def tires_(tensor, generator=None):
        next(left)
        return init.kaiming_normal_(tensor, generator=generator)

    (found,) = init.check_initializer(tires_, "kaiming_normal_").findings
    assert (found.kind, found.where) == ("raises", "tires_")
    assert found.message == "it must draw again and again; it raised StopIteration"


def test_the_report_reads_in_words():
    good = init.check_initializer(init.kaiming_normal_, "kaiming_normal_")
    lines = str(good).splitlines()
    assert lines[0] == "kaiming_normal_ is like kaiming_normal_"
    assert lines[1].split() == ["shape", "values", "std", "found", "mean", "found_mean"]
    assert "nothing found wrong" in lines
    assert "mean and std, the std within 2.0%" in str(good)
    assert good.findings == []
    bad = init.check_initializer(init.xavier_normal_, "kaiming_normal_", shapes=[(90, 10)])
    assert str(bad).startswith("xavier_normal_ is not like kaiming_normal_\n")
    first = bad.findings[0]
    assert first.message.startswith("the std must be 0.4")
    assert f"Hint: {first.hint} ({first.page})" in str(first)
    for report in (good, bad):
        assert report._repr_html_().startswith(f"<p>{report.title}</p><table>")
        assert "<li>" in report._repr_html_()
    with pytest.raises(AssertionError, match="is not like kaiming_normal_"):
        bad.assert_ok()
    with pytest.raises(dataclasses.FrozenInstanceError):
        bad.title = "another"


def test_rows_hold_the_right_moments_and_those_found():
    report = init.check_initializer(
        partial(init.normal_, mean=0.5, std=0.1), partial(init.normal_, mean=0.2, std=0.3)
    )
    for row in report.rows:
        assert row["values"] >= 48_000
        assert row["std"] == pytest.approx(0.3, rel=0.02)
        assert row["found"] == pytest.approx(0.1, rel=0.02)
        assert row["mean"] == pytest.approx(0.2, abs=0.01)
        assert row["found_mean"] == pytest.approx(0.5, abs=0.01)


def test_two_calls_agree_and_nothing_else_changes():
    def meddling_(tensor):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        return tensor.normal_()

    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first, second = (init.check_initializer(meddling_, "normal_") for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    assert random.getstate() == before[2]


def test_the_style_is_read_from_the_signature_or_from_like():
    assert init.check_initializer(lambda w, g: init.normal_(w, generator=g), "normal_").ok
    assert init.check_initializer(lambda x, rng: rng.normal(size=x), "normal_").ok
    assert init.check_initializer(init.normal, init.normal_).ok
    assert init.check_initializer(lambda x, g: init.normal_(x, generator=g), init.normal_).ok
    both = init.check_initializer(init.xavier_normal, "xavier_normal")
    assert both.notes[-1] == "checked: the same with layout='out_in'"


def test_a_layout_that_is_ignored_is_found():
    def deaf(shape, layout="in_out", rng=None):
        return init.kaiming_normal(shape, rng=rng)

    findings = init.check_initializer(deaf, "kaiming_normal").findings
    assert [finding.kind for finding in findings] == ["wrong layout"]


def unclear(x):
    return x


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: init.check_initializer(3, "normal_"), TypeError, "must be a function; got 3"),
        (lambda: init.check_initializer(init.normal_, 3), TypeError, "must be a function; got 3"),
        (
            lambda: init.check_initializer(unclear, unclear),
            TypeError,
            r"must be of the form fn_\(tensor, generator=None\) or fn\(shape, rng=None\); cannot",
        ),
        (lambda: init.check_initializer(max, max), TypeError, r"cannot tell which max\(…\) is"),
        (
            lambda: init.check_initializer(init.normal_, "he"),
            ValueError,
            "like must be 'zeros_', .* or a function; got 'he'",
        ),
        (
            lambda: init.check_initializer(init.constant_, "constant_"),
            ValueError,
            r"like must draw at the shapes \[\(40, 360\).*it raised TypeError: .*'val'",
        ),
        (
            lambda: init.check_initializer(init.eye_, "eye_", shapes=[(3, 4), (3, 4, 5)]),
            ValueError,
            r"like must draw at the shapes .*; it raised ValueError: tensor must have 2",
        ),
        (
            lambda: init.check_initializer(init.normal_, "normal_", shapes=[(3,)]),
            ValueError,
            r"shapes must have at least 2 sizes each; got \(3,\)",
        ),
        (
            lambda: init.check_initializer(init.normal, "normal", layout="oi"),
            ValueError,
            "layout must be 'in_out' or 'out_in'; got 'oi'",
        ),
        (
            lambda: init.check_initializer(init.normal_, "normal_", seed=-1),
            ValueError,
            "seed must be an integer, at least 0; got -1",
        ),
    ],
    ids=lambda value: "" if callable(value) else None,
)
def test_bad_input_gets_the_rule_then_the_value(call, error, words):
    with pytest.raises(error, match=words):
        call()
