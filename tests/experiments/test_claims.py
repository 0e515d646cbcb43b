"""The claims of papers and of the guide, as inequalities over several seeds."""

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.experiments import INITIALIZATIONS, each_linear, mlp, signals_by_depth, train
from initguide.experiments.claims import (
    CLAIMS,
    Check,
    Claim,
    by_seed,
    evaluate,
    gu_2022,
    hayou_2024,
    table,
    verdict,
    zhou_2022,
)
from initguide.experiments.claims.claim import best_rate, per_seed
from initguide.experiments.claims.recorded import recorded
from initguide.papers import PAPERS

SEEDS = range(5)
DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: Path(claim.page).stem)
class TestPapers:
    def test_each_inequality_holds_with_a_margin_or_is_marked(self, claim: Claim):
        results = evaluate(claim, SEEDS)
        shown = [one for one in results if one.check.reproduced]
        assert [one for one in shown if not one.holds or one.margin < 3] == []
        assert [one for one in results if one not in shown and one.holds] == []

    def test_the_example_shows_the_claim_and_the_paper_has_an_entry(self, claim: Claim):
        example = (DOCS / claim.page).read_text(encoding="utf-8")
        module = claim.run.__module__.rpartition(".")[2]
        assert f"table({module}.CLAIM)" in example
        assert claim.paper in PAPERS

    def test_the_short_form_fits_a_line_of_the_table(self, claim: Claim):
        assert 0 < len(claim.short) < 60


def claim_of(*checks: Check) -> Claim:
    rows = [{"x": 1.0}, {"x": 2.0}, {"x": 6.0}]
    return Claim("he2015", "", "", "", lambda _: rows, checks, "")


def check(relation, bound, supports=True):
    return Check("x", lambda rows: [row["x"] for row in rows], relation, bound, supports)


class TestEvaluate:
    def test_a_result_has_mean_range_and_margin(self):
        # The values 1, 2, 6 have mean 3, variance 7 and standard error sqrt(7 / 3).
        below, above = evaluate(claim_of(check("<", 10), check(">", 1.5)), range(3))
        assert below[1:] == pytest.approx((3, 1, 6, 7 / math.sqrt(7 / 3), True))
        assert above[1:] == pytest.approx((3, 1, 6, 1.5 / math.sqrt(7 / 3), False))

    def test_the_table_says_which_rows_speak_against_the_headline(self):
        checks = [check("<", 10), check("<", 1.234567), check("<", 10, supports=False)]
        rows = table(claim_of(*checks, check(">", 10, supports=False)), range(3))
        assert [row["holds"] for row in rows] == ["yes", "no", "against", "no"]
        assert rows[1]["claim"] == "<\u00a01.23"

    def test_no_inequality_holds_for_nan(self):
        nan = Check("x", lambda rows: [math.nan] * 3, "<", 1)
        assert not evaluate(claim_of(nan), range(3))[0].holds

    def test_a_check_gives_one_value_per_seed(self):
        with pytest.raises(ValueError, match=r"one value for each of 2 seeds; got 3"):
            evaluate(claim_of(check("<", 10)), range(2))

    @pytest.mark.parametrize(
        ("checks", "expected"),
        [
            ([check("<", 10), check(">", 0)], "holds"),
            ([check("<", 10), check(">", 1.5)], "holds in part"),
            ([check("<", 10), check(">", 0, supports=False)], "holds in part"),
            ([check("<", 0)], "does not hold here"),
            ([check("<", 10, supports=False)], "does not hold here"),
        ],
    )
    def test_the_verdict_depends_on_supporting_and_opposing_checks(self, checks, expected):
        assert verdict(evaluate(claim_of(*checks), range(3))) == expected


def test_by_seed_averages_the_rows_that_match():
    rows = [
        {"name": name, "seed": seed, "step": step, "loss": 100.0 * seed + step}
        for name in "ab"
        for seed in (3, 1)
        for step in (10, 20, 30)
    ]
    assert by_seed("loss", name="b", step=20)(rows) == [320, 120]
    assert by_seed("loss", 20, name="a")(rows) == [325, 125]
    assert by_seed("loss", name="a")(rows) == [320, 120]
    # Rows that do not match, or without the column, do not change the last step.
    longer = [{"name": "c", "seed": 3, "step": 90, "other": 1.0}]
    assert by_seed("loss", 1, name="a")(rows + longer) == [330, 130]
    assert by_seed("loss", 1)([*rows, *longer]) == [330, 130]
    ratio = per_seed(lambda a, b: a / b, by_seed("loss", step=30), by_seed("loss", step=10))
    assert ratio(rows) == [330 / 310, 130 / 110]
    assert by_seed("loss", None, max, name="a")(rows) == [330, 130]
    assert by_seed("loss", 20, min, name="a")(rows) == [320, 120]


def generator(seed):
    return torch.Generator().manual_seed(seed)


def last(rows, name, column):
    depth = max(row["layer"] for row in rows)
    wanted = (row for row in rows if row["initialization"] == name and row["layer"] == depth)
    return [row[column] for row in wanted]


@pytest.fixture(scope="module")
def signals():
    return signals_by_depth(INITIALIZATIONS, depth=20, width=256, seeds=SEEDS)


class TestSignals:
    def test_only_he_keeps_the_size(self, signals):
        assert all(0.3 < rms < 1.5 for rms in last(signals, "He", "rms"))
        assert all(rms < 2e-3 for rms in last(signals, "Xavier", "rms"))
        assert all(rms < 1e-15 for rms in last(signals, "std 0.01", "rms"))
        assert all(rms > 1e19 for rms in last(signals, "std 1.0", "rms"))

    def test_pytorchs_default_ignores_its_input(self, signals):
        """The biases give it a healthy rms, but over the batch nothing changes."""
        assert all(rms > 0.01 for rms in last(signals, "PyTorch default", "rms"))
        assert all(std < 1e-7 for std in last(signals, "PyTorch default", "std"))

    def test_without_its_bias_the_default_shrinks_by_the_root_of_six_per_layer(self):
        default = each_linear(
            lambda w, generator: init.kaiming_uniform_(w, 5**0.5, "fan_in", generator=generator)
        )
        rows = signals_by_depth({"default": default}, depth=20, width=256, seeds=SEEDS)
        for rms in last(rows, "default", "rms"):
            assert rms == pytest.approx(6**-10, rel=0.6)

    def test_he_keeps_only_the_mean_of_narrow_deep_networks(self):
        he = {"He": INITIALIZATIONS["He"]}
        rows = signals_by_depth(he, depth=100, width=64, batch=2, seeds=range(40))
        squares = torch.tensor(last(rows, "He", "rms")).square()
        assert squares.median() < 0.1
        assert squares.log().std() > 2

    def test_the_std_of_a_relu_is_not_its_rms(self):
        z = torch.randn(10**6, generator=generator(0)).relu()
        assert z.mean() == pytest.approx(0.399, abs=2e-3)
        assert z.var() == pytest.approx(0.341, abs=2e-3)
        assert z.square().mean() == pytest.approx(0.5, abs=3e-3)


@pytest.mark.parametrize("seed", SEEDS)
class TestSymmetry:
    def gradients(self, model, seed):
        x = torch.randn(32, 8, generator=generator(seed))
        y = torch.randint(5, (32,), generator=generator(seed))
        return torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))

    @pytest.mark.parametrize("nonlinearity", [nn.ReLU, nn.Tanh])
    def test_with_zeros_only_the_output_bias_has_a_gradient(self, nonlinearity, seed):
        model = mlp([8, 16, 16, 5], nonlinearity)
        for parameter in model.parameters():
            init.zeros_(parameter)
        *others, output_bias = self.gradients(model, seed)
        assert all((gradient == 0).all() for gradient in others)
        assert (output_bias != 0).any()

    def test_a_constant_gives_all_units_the_same_gradient_but_not_all_entries(self, seed):
        model = mlp([8, 16, 5], nn.Tanh)
        each_linear(lambda weight, generator: init.constant_(weight, 0.1))(model, None)
        # With equal logits the sum of p - y over the classes is zero, so the hidden layer has no
        # gradient at the first step. With an unequal head it has one.
        assert self.gradients(model, seed)[0].abs().max() < 1e-7
        init.normal_(model[-1].weight, generator=generator(seed))
        model[-1].weight.data[:] = model[-1].weight[:, :1]
        first = self.gradients(model, seed)[0]
        assert torch.allclose(first, first[:1].expand_as(first))
        assert first[0].std() > 1e-3

    def test_the_rank_stays_one_with_sigmoid(self, seed):
        model = mlp([8, 16, 5], nn.Sigmoid)
        for parameter in model.parameters():
            init.zeros_(parameter)
        x = torch.randn(64, 8, generator=generator(seed))
        y = torch.randint(5, (64,), generator=generator(seed))
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        for _ in range(50):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        values = torch.linalg.svdvals(model[0].weight)
        assert values[0] > 1e-3
        assert values[1] < 1e-5 * values[0]


@pytest.mark.parametrize("seed", SEEDS)
class TestFrameworks:
    def test_packed_attention_is_too_small_by_the_root_of_two(self, seed):
        torch.manual_seed(seed)
        attention = nn.MultiheadAttention(128, 4)
        wanted = math.sqrt(2 / 256)
        assert attention.in_proj_weight.std().item() == pytest.approx(
            wanted / math.sqrt(2), rel=0.02
        )

    def test_encoder_layers_start_identical(self, seed):
        torch.manual_seed(seed)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        first, second = (layer.state_dict() for layer in encoder.layers)
        assert all(torch.equal(first[key], second[key]) for key in first)

    def test_a_fused_orthogonal_matrix_has_no_orthogonal_gates(self, seed):
        weight = init.orthogonal_(torch.empty(256, 64), generator=generator(seed))
        gate = torch.linalg.svdvals(weight[64:128]).square()
        assert gate.mean() == pytest.approx(0.25, abs=0.02)
        assert gate.max() > 2 * gate.min()

    def test_an_orthogonal_kernel_is_not_an_orthogonal_convolution(self, seed):
        kernel = init.orthogonal_(torch.empty(16, 16, 3, 3), generator=generator(seed))
        x = torch.randn(64, 16, 12, 12, generator=generator(seed))
        ratio = F.conv2d(F.pad(x, (1, 1, 1, 1), "circular"), kernel).norm() / x.norm()
        assert (
            not 0.9 < ratio < 1.1
            or torch.linalg.svdvals(torch.fft.fft2(kernel, (12, 12)).permute(2, 3, 0, 1)).std()
            > 0.1
        )

    def test_a_small_std_within_two_is_not_truncated(self, seed):
        weight = init.trunc_normal_(torch.empty(10**5), std=0.02, generator=generator(seed))
        assert weight.abs().max() > 3.5 * 0.02


@pytest.mark.parametrize("seed", SEEDS)
class TestLayerNorm:
    def test_scaling_the_weights_before_it_divides_their_gradient(self, seed):
        model = mlp([8, 32, 32, 5], layer_norm=True, generator=generator(seed)).double()
        for module in model:
            if isinstance(module, nn.LayerNorm):
                module.eps = 0.0
            if isinstance(module, nn.Linear):
                init.zeros_(module.bias)
        scaled = copy.deepcopy(model)
        scaled[3].weight.data *= 10
        x = torch.randn(16, 8, generator=generator(seed), dtype=torch.float64)
        y = torch.randint(5, (16,), generator=generator(seed))
        losses, gradients = [], []
        for network in (model, scaled):
            losses.append(F.cross_entropy(network(x), y))
            gradients.append(torch.autograd.grad(losses[-1], network[3].weight)[0])
        assert losses[0].item() == pytest.approx(losses[1].item(), abs=1e-12)
        torch.testing.assert_close(gradients[0], 10 * gradients[1])
        assert abs((gradients[0] * model[3].weight).sum()) < 1e-12

    def test_unnormalized_residual_blocks_double_the_second_moment(self, seed):
        width, x = 256, torch.randn(64, 256, generator=generator(seed))
        growth = []
        for _ in range(10):
            branch = torch.empty(width, width)
            # He keeps the second moment after the ReLU, and 1 / fan_in in the second layer.
            init.kaiming_normal_(
                branch, generator=(g := generator(1000 + 100 * seed + len(growth)))
            )
            out = init.lecun_normal_(torch.empty(width, width), generator=g)
            delta = F.linear(F.relu(F.linear(x, branch)), out)
            growth.append(((x + delta).square().mean() / x.square().mean()).item())
            x = x + delta
        assert math.prod(growth) ** 0.1 == pytest.approx(2, rel=0.1)


def test_layer_norm_helps_three_layers_but_not_fifteen():
    """With std 0.01, three layers learn only with LayerNorm; fifteen do not at lr 0.01."""
    chosen = {"std 0.01": INITIALIZATIONS["std 0.01"]}

    def accuracies(**options):
        rows = train(chosen, steps=200, every=200, seeds=range(3), **options)
        return [row["accuracy"] for row in rows if row["step"] == 200]

    deep = (64, *[100] * 15, 10)
    assert max(accuracies(lr=0.1)) < 0.2
    assert min(accuracies(lr=0.1, layer_norm=True)) > 0.8
    assert max(accuracies(lr=0.01, layer_norm=True, widths=deep)) < 0.3


def test_an_experiment_runs_once_for_equal_arguments(tmp_path, monkeypatch):
    calls = []

    def experiment(seeds, steps=3):
        calls.append(tuple(seeds))
        return [{"seed": seed, "steps": steps} for seed in seeds]

    run = recorded(experiment)
    monkeypatch.setenv("INITGUIDE_RECORDS", str(tmp_path))
    rows = [run(range(2)), run([0, 1], 3), run(seeds=(0, 1), steps=3)]
    assert rows[0] == rows[1] == rows[2]
    assert calls == [(0, 1)]
    assert run(range(2), steps=4)[0]["steps"] == 4
    monkeypatch.delenv("INITGUIDE_RECORDS")
    run(range(2))
    assert len(calls) == 3


def test_the_kernel_of_a_state_space_model_equals_its_recurrence():
    """The states follow h = exp(-step * k) h + step * u, one k after the other."""
    model = gu_2022.StateSpace((0.01, 1.0), 12, channels=3, states=2, generator=generator(0))
    x = torch.randn(5, 12, 2, generator=generator(1))
    step, u = model.log_step.exp(), x @ model.enter.T
    h = torch.zeros(5, 3, 2)
    for t in range(12):
        h = torch.exp(-step[:, None] * torch.tensor([1.0, 2.0])) * h + (step * u[:, t])[..., None]
    torch.testing.assert_close(model(x), (h * model.mix).sum(-1) @ model.leave.T)
    assert ((step > 0.01) & (step < 1)).all()


def test_lora_starts_from_the_frozen_network_and_trains_two_factors():
    base = mlp([64, 32, 10], generator=generator(0))
    x = torch.randn(5, 64, generator=generator(1))
    for start, zero in (
        (hayou_2024.RANDOM_A, {"b"}),
        (hayou_2024.RANDOM_B, {"a"}),
        (hayou_2024.PISSA, set()),
        (hayou_2024.TURNED, set()),
    ):
        model = hayou_2024._adapted(base, 4, start, seed=0)
        torch.testing.assert_close(model(x), base(x))
        names = {name for name, value in model[0].named_parameters() if (value == 0).all()}
        assert names == zero
        if not zero:
            product, weight = model[0].b @ model[0].a, base[0].weight
            largest = torch.linalg.svdvals(weight)[:4]
            torch.testing.assert_close(torch.linalg.svdvals(product)[:4], largest)
            rest = torch.linalg.matrix_norm(model[0].weight, 2)
            principal = start == hayou_2024.PISSA
            assert (rest < largest[-1] * (1 + 1e-5)) == principal
        assert [name for name, _ in model[0].named_parameters()] == ["a", "b"]
        model[0].a.data.normal_(generator=generator(2))
        model[0].b.data.normal_(generator=generator(3))
        weight = model[0].weight + model[0].b @ model[0].a
        torch.testing.assert_close(model[0](x), F.linear(x, weight, base[0].bias))


def test_the_alignment_is_one_for_parallel_units_and_small_for_orthogonal_ones():
    model = mlp([4, 4, 1], nn.Tanh, generator=generator(0))
    init.identity_(model[0].weight)
    assert zhou_2022.alignment(model) == pytest.approx(0)
    direction, sizes = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([1.0, -2.0, 0.1, 5.0])
    model[0].weight.data.copy_(torch.outer(sizes, direction))
    assert zhou_2022.alignment(model) == pytest.approx(1)


def test_the_best_rate_is_the_lowest_point_of_a_parabola():
    def rows(loss):
        rates = (0.25, 0.5, 2, 8, 16)
        return [{"initialization": "a", "seed": 0, "lr": lr, "loss": loss(lr)} for lr in rates]

    def parabola(lr):
        return 2 ** (1 + (math.log2(lr) - 1.3) ** 2)

    assert best_rate("a")(rows(parabola)) == pytest.approx([1.3])
    assert best_rate("b")(rows(parabola)) == []
    # A neighbour that diverged gives no parabola.
    assert best_rate("a")(rows(lambda lr: math.inf if lr > 2 else parabola(lr))) == [1]
