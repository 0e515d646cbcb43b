"""The best rate of each arm is chosen on other seeds, and a diverged run always counts."""

import math

import pytest

from initguide.experiments import INITIALIZATIONS, sweep
from initguide.experiments.claims.claim import at_any, at_best, lead
from initguide.experiments.models import seeded_mlp
from initguide.experiments.rows import grid
from initguide.experiments.tuning import CHOOSING, STRIDE, averaged, tuned, tuned_on_digits

RATES = (0.01, 0.03, 0.1, 0.3, 1.0)


def sweep_of(loss_of):
    def run(seeds):
        runs = grid(initialization=["a", "b"], lr=RATES, seed=seeds)
        return [one | {"loss": loss_of(one)} for one in runs]

    return run


def best_of(rows, name):
    rates = {row["lr"] for row in rows if row["initialization"] == name and row["best"]}
    (rate,) = rates
    return rate


def parabola(least):
    return lambda one: 1 + math.log10(one["lr"] / least[one["initialization"]]) ** 2


@pytest.mark.parametrize("least", [{"a": 0.03, "b": 0.3}, {"a": 0.1, "b": 0.03}])
def test_each_arm_has_its_own_best_rate(least):
    rows = tuned(sweep_of(parabola(least)), [4, 7])
    assert {name: best_of(rows, name) for name in "ab"} == least
    assert {row["seed"] for row in rows} == {4, 7}
    assert at_best("a")(rows) == [1, 1]


def test_the_rate_is_chosen_on_other_seeds_than_those_reported():
    def loss(one):
        # The seeds to report would choose 0.3.
        least = 0.03 if one["seed"] in CHOOSING else 0.3
        return 1 + math.log10(one["lr"] / least) ** 2

    rows = tuned(sweep_of(loss), [0, 1, 2])
    assert best_of(rows, "b") == 0.03
    assert at_best("b")(rows) == pytest.approx([2] * 3)


@pytest.mark.parametrize("edge", [0.01, 1.0])
def test_a_best_at_the_edge_has_no_value(edge):
    rows = tuned(sweep_of(parabola({"a": edge, "b": 0.1})), [0, 1])
    assert all(map(math.isnan, at_best("a")(rows)))
    assert at_best("b")(rows) == [1, 1]


@pytest.mark.parametrize("lost", [math.nan, math.inf])
def test_one_diverged_run_rules_a_rate_out(lost):
    def loss(one):
        if (one["lr"], one["seed"]) == (0.1, CHOOSING[1]):
            return lost
        return parabola({"a": 0.1, "b": 0.1})(one)

    assert best_of(tuned(sweep_of(loss), [0]), "a") in (0.03, 0.3)


def test_a_reported_run_that_diverged_is_infinite():
    def loss(one):
        return math.nan if one["seed"] == 1 else parabola({"a": 0.1, "b": 0.1})(one)

    assert at_best("a")(tuned(sweep_of(loss), [0, 1])) == [1, math.inf]


def test_equal_losses_take_the_rate_in_the_middle():
    flat = tuned(sweep_of(lambda one: 2.3 - 0.001 * one["lr"]), [0])
    assert best_of(flat, "a") == 0.1


def test_the_lead_is_the_difference_of_the_losses_at_the_best_rates():
    def loss(one):
        high = 2 if one["initialization"] == "a" else 0
        return high + one["seed"] % 10 + parabola({"a": 0.1, "b": 0.03})(one)

    rows = tuned(sweep_of(loss), [3, 5])
    assert lead("a", "b")(rows) == pytest.approx([2, 2])
    assert lead("b", "a")(rows) == pytest.approx([-2, -2])


def test_the_least_loss_at_any_rate_is_that_of_each_seed():
    def loss(one):
        return 1 + math.log10(one["lr"] / {0: 0.01, 1: 0.3}.get(one["seed"], 0.1)) ** 2

    rows = tuned(sweep_of(loss), [0, 1])
    assert at_any("a")(rows) == [1, 1]
    assert at_best("a")(rows) == pytest.approx([2, 1 + math.log10(3) ** 2])
    assert at_best("a", "seed")(rows) == [0, 1]


@pytest.mark.parametrize(("steps", "batch", "adam"), [(12, 16, False), (20, 5, True)])
def test_networks_on_the_digits_train_at_the_rates_of_their_initialization(steps, batch, adam):
    widths, seeds = (64, 32, 16, 10), [5, 2]
    rates = {"Xavier": RATES, "He": (0.003, 0.01, 0.03, 0.1, 0.2, 0.4)}

    def network(name, seed):
        return seeded_mlp(INITIALIZATIONS[name], widths, seed=seed)

    betas = (0.9, 0.999) if adam else None
    rows = tuned_on_digits(network, rates, seeds, steps=steps, batch=batch, betas=betas)
    for name, some in rates.items():
        alone = sweep(
            {name: INITIALIZATIONS[name]},
            some,
            adam=adam,
            widths=widths,
            steps=steps,
            batch=batch,
            seeds=seeds,
        )
        ours = {(row["lr"], row["seed"]): row["loss"] for row in rows if name in row.values()}
        assert ours == pytest.approx({(row["rate"], row["seed"]): row["loss"] for row in alone})


def test_bad_input_is_named():
    run = sweep_of(lambda one: 1.0)
    with pytest.raises(ValueError, match=rf"must not be .* the rates; got {CHOOSING[0]}"):
        tuned(run, [0, CHOOSING[0]])

    def few(seeds):
        return [row for row in run(seeds) if row["lr"] < 1]

    with pytest.raises(ValueError, match="at least five learning rates; got 4"):
        tuned(few, [0])


def test_the_loss_is_the_mean_over_the_last_share_of_the_steps():
    def losses(steps, last):
        def network(name, seed):
            return seeded_mlp(INITIALIZATIONS[name], (64, 8, 10), seed=seed)

        rows = tuned_on_digits(network, {"He": RATES}, [0], steps=steps, last=last)
        return [row["loss"] for row in rows]

    halves = zip(losses(1, 1.0), losses(2, 0.5), strict=True)
    assert losses(2, 1.0) == pytest.approx([(first + second) / 2 for first, second in halves])


@pytest.mark.parametrize("networks", [1, 3])
def test_averaged_networks_have_seeds_of_their_own(networks):
    seen = []

    def run(seeds):
        seen.extend(seeds)
        return [
            {"seed": seed, "lr": 0.1, "loss": float(seed % 1000 + seed // STRIDE)} for seed in seeds
        ]

    rows = averaged(run, networks)([4, *CHOOSING])
    assert [row["seed"] for row in rows] == [4, *CHOOSING]
    assert len(set(seen)) == len(seen) == 3 * networks
    # The copies of a network have the numbers 0, 1, …
    assert [row["loss"] for row in rows] == [each + (networks - 1) / 2 for each in (4, 1, 2)]


def test_the_mean_over_networks_is_that_of_each_row():
    def run(seeds):
        return [
            {"seed": s, "lr": lr, "loss": lr * (s > 9), "x": s % 10} for s in seeds for lr in RATES
        ]

    rows = averaged(run, 2, ("loss",))([1, 2])
    assert [row["loss"] for row in rows] == pytest.approx([lr / 2 for lr in RATES] * 2)
    assert [row["x"] for row in rows] == [1] * 5 + [2] * 5
