"""Losses over the learning rate: rings, stars and the ceiling."""

import math

import pytest

from initguide import plotting


def row(name, lr, loss, **more):
    return {"initialization": name, "lr": lr, "loss": loss, **more}


def rings(ax):
    return [line for line in ax.lines if line.get_markerfacecolor() == "none"]


@pytest.mark.parametrize(
    ("lr", "loss", "size"),
    # Within a factor of 1.25 of the first ring at the same rate, the second one is larger.
    [(0.1, 1.24, 19), (0.1, 1.26, 13), (0.1, 0.81, 19), (0.1, 0.79, 13), (0.2, 1.0, 13)],
)
def test_a_ring_near_another_one_is_larger(lr, loss, size):
    rows = [row("He", 0.1, 1.0, best=True), row("Xavier", lr, loss, best=True)]
    rows += [row(name, 0.4, 2.0, best=False) for name in ("He", "Xavier")]
    ax = plotting.rates(rows, ceiling=9)
    first, second = rings(ax)
    assert (first.get_markersize(), second.get_markersize()) == (13, size)
    assert second.get_xydata().tolist() == [[lr, pytest.approx(loss)]]
    assert first.get_zorder() > 5
    assert first.get_color() != second.get_color()


def test_three_rings_at_one_place_are_larger_each():
    names = ("He", "Xavier", "LSUV")
    rows = [row(name, lr, 1.0, best=lr == 0.1) for name in names for lr in (0.1, 0.2)]
    assert [ring.get_markersize() for ring in rings(plotting.rates(rows))] == [13, 19, 25]


def test_what_diverged_counts_as_the_ceiling():
    losses = (0.5, math.nan, math.inf, 7.0)
    rows = [row("He", 0.1 * 2**i, loss) for i, loss in enumerate(losses)]
    ax = plotting.rates(rows, ceiling=3.0)
    assert ax.lines[0].get_ydata().tolist() == pytest.approx([0.5, 3, 3, 3])
    assert [text.get_text() for text in ax.texts] == ["≥ 3"]
    assert not rings(ax)
    assert ax.get_xscale() == "log"
    assert not plotting.rates(rows[:1], ceiling=3.0, legend=False).texts
    assert plotting.rates(rows[:1], legend=False).get_legend() is None
    assert plotting.rates(rows[:1]).get_legend() is not None


def test_a_star_is_at_the_lowest_loss_of_each_size():
    rows = [
        row(name, lr, (math.log2(lr) + best) ** 2 + 1, width=n)
        for name in ("muP", "He")
        for n, best in ((16, 3), (32, 4))
        for lr in (1 / 32, 1 / 16, 1 / 8, 1 / 4)
    ]
    panels = plotting.rates_by_size(rows, "width", "units", limits=(0.5, 20))
    assert [ax.get_title(loc="left") for ax in panels] == ["muP", "He"]
    for ax in panels:
        stars = [line for line in ax.lines if line.get_marker() == "*"]
        assert [star.get_xydata().tolist() for star in stars] == [[[-3, 1]], [[-4, 1]]]
        assert ax.get_ylim() == (0.5, 20)
        assert {text.get_text() for text in ax.texts} == {"16 units", "32 units"}
    assert panels[0].figure.get_figheight() == 7
    assert [ax.get_xlabel() for ax in panels] == ["", "log₂ of the learning rate"]
