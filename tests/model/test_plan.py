"""Plans worked by hand, and the moments of the values drawn."""

import copy
import json
import math
import pickle
import re

import pytest
import torch
from plans import drawn, rows, same, state, stds
from torch import nn
from torch.nn import functional as F
from zoo import PAIRS, ZOO, NanoGPT, Plain, recipe_for

import initguide as init
from initguide import Fans, Rule


def test_plan_of_a_perceptron():
    plan = rows(Plain())
    assert plan["fc1.weight"]["before"] == "relu"
    assert plan["fc1.weight"]["std"] == pytest.approx(math.sqrt(2 / 64))
    # Xavier with the exact gain of tanh, 1.5925.
    assert plan["fc2.weight"]["before"] == "tanh"
    assert plan["fc2.weight"]["std"] == pytest.approx(1.592537 * math.sqrt(2 / 150), rel=1e-5)
    assert plan["fc3.weight"]["std"] == pytest.approx(1 / math.sqrt(50))
    assert [plan[f"fc{i}.bias"]["law"] for i in (1, 2, 3)] == ["zeros_"] * 3


def test_grouped_and_transposed_convolutions_count_what_an_output_sums():
    model = nn.Sequential(
        nn.Conv2d(32, 64, 3, groups=4),
        nn.ReLU(),
        nn.Conv2d(64, 64, 5, groups=64, stride=2),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(64, 24, 4, stride=2),
        nn.ReLU(),
        nn.ConvTranspose1d(6, 8, 4, stride=2, groups=2),
    )
    plan = rows(model[:6])
    # 32 / 4 channels of 3 x 3; one of 5 x 5; 64 channels of 4 x 4, divided by the stride of 2 x 2.
    assert [plan[f"{i}.weight"]["fan_in"] for i in (0, 2, 4)] == [72, 25, 256]
    assert plan["0.weight"]["std"] == pytest.approx(math.sqrt(2 / 72))
    assert plan["2.weight"]["std"] == pytest.approx(math.sqrt(2 / (1 + 0.04) / 25))
    assert plan["4.weight"]["std"] == pytest.approx(math.sqrt(2 / 256))
    # (in / groups) * k / stride = 3 * 4 / 2.
    assert rows(model[6:])["6.weight"]["fan_in"] == 6


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
def test_recurrent_layers_gate_by_gate(kind, gates):
    model = nn.ModuleDict({"rnn": kind(10, 24, num_layers=2, bidirectional=True)})
    plan = stds(model)
    # Xavier by the fans of one gate, (10, 24); orthogonal with the gain 1: std 1 / sqrt(24).
    assert plan["rnn.weight_ih_l0"] == pytest.approx(math.sqrt(2 / 34))
    assert plan["rnn.weight_ih_l1_reverse"] == pytest.approx(math.sqrt(2 / (48 + 24)))
    assert plan["rnn.weight_hh_l1"] == pytest.approx(1 / math.sqrt(24))
    init.initialize_(model, seed=0)
    for name, weight in model["rnn"].named_parameters():
        if name.startswith("weight_hh"):
            for block in weight.detach().chunk(gates):
                torch.testing.assert_close(block @ block.T, torch.eye(24), atol=1e-5, rtol=0)
    for end in ("l0", "l1_reverse"):
        biases = [getattr(model["rnn"], f"bias_{part}_{end}").detach() for part in ("ih", "hh")]
        want = torch.zeros(gates, 24)
        # The two are added: the forget gate's are to sum to one.
        want[gates // 3] = kind is nn.LSTM
        torch.testing.assert_close(sum(biases), want.flatten())


def test_a_cell_and_a_projected_lstm():
    plan = rows(nn.ModuleDict({"c": nn.LSTMCell(10, 24), "p": nn.LSTM(10, 24, proj_size=6)}))
    assert plan["c.weight_ih"]["std"] == pytest.approx(math.sqrt(2 / 34))
    assert plan["c.bias_ih"]["law"] == "forget_gate_one_"
    assert plan["p.weight_hr_l0"]["law"] == "orthogonal_"
    assert plan["p.weight_hr_l0"]["std"] == pytest.approx(1 / math.sqrt(24))
    # Four blocks of (24, 6).
    assert plan["p.weight_hh_l0"]["law"] == "orthogonal_ ×4"


def test_attention_packed_and_separate():
    packed = stds(nn.ModuleDict({"a": nn.MultiheadAttention(48, 4)}))
    assert packed["a.in_proj_weight"] == pytest.approx(math.sqrt(2 / 96))
    separate = stds(nn.ModuleDict({"a": nn.MultiheadAttention(48, 4, kdim=20, vdim=30)}))
    assert separate["a.q_proj_weight"] == pytest.approx(math.sqrt(2 / 96))
    assert separate["a.k_proj_weight"] == pytest.approx(math.sqrt(2 / 68))
    assert separate["a.v_proj_weight"] == pytest.approx(math.sqrt(2 / 78))
    blocks = drawn(nn.ModuleDict({"a": nn.MultiheadAttention(48, 4)}), "orthogonal")
    for block in blocks["a.in_proj_weight"].chunk(3):
        torch.testing.assert_close(block @ block.T, torch.eye(48), atol=1e-5, rtol=0)


def test_an_embedding_keeps_its_padding_at_zero():
    model = nn.ModuleDict({"e": nn.Embedding(500, 16, padding_idx=3)})
    weight = drawn(model)["e.weight"]
    assert not weight[3].any()
    rest = torch.cat([weight[:3], weight[4:]])
    assert rest.std().item() == pytest.approx(1, abs=5 / math.sqrt(2 * rest.numel()))
    assert rows(model)["e.weight"]["note"] == "row 3 is padding, and zero"


class OwnTable(nn.Module):
    """A module that names a padding token, and holds more than a table."""

    def __init__(self, padding_idx, size):
        super().__init__()
        self.padding_idx = padding_idx
        self.tokens = nn.Embedding(9, size, padding_idx=padding_idx)
        self.proj = nn.Parameter(torch.empty(size, size))
        self.alpha = nn.Parameter(torch.ones(1))

    def forward(self, i):
        return self.tokens(i) @ self.proj * self.alpha


@pytest.mark.parametrize(("padding_idx", "size"), [(0, 4), (1, 6)])
def test_only_embeddings_have_a_padding_row(padding_idx, size):
    model = OwnTable(padding_idx, size)
    init.initialize_(model, [Rule("alpha", "ones_"), "auto"], seed=0)
    assert (model.proj != 0).all()
    assert model.alpha.item() == 1
    assert not model.tokens.weight[padding_idx].any()


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (lambda: nn.MultiheadAttention(148, 4), Rule("*in_proj_weight", "normal_", std=0.02)),
        (lambda: nn.GRU(256, 256), Rule("*weight*", "uniform_", a=-0.1, b=0.1)),
        (lambda: nn.LSTM(150, 170), Rule("*weight_h*", "truncated_normal_", std=0.1)),
    ],
    ids=["attention", "gru", "lstm"],
)
def test_independent_entries_fill_large_packed_weights(build, rule):
    model = build()
    planned = {
        row["parameter"]: row for row in init.initialize_(model, [rule, "auto"], seed=0).rows
    }
    for name, weight in model.named_parameters():
        if weight.numel() > 65_536 and planned[name]["std"]:
            # Five standard errors of the std of a sample of this size, at most.
            near = 5 / math.sqrt(2 * weight.numel())
            assert weight.std().item() == pytest.approx(planned[name]["std"], rel=near)


def test_padding_is_kept_where_the_rule_is_the_tied_heads():
    model = nn.ModuleDict({"e": nn.Embedding(50, 16, padding_idx=3), "h": nn.Linear(16, 50)})
    model["h"].weight = model["e"].weight
    assert not drawn(model)["h.weight"][3].any()


def test_norms_and_their_statistics():
    norms = [nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(4), nn.RMSNorm(4)]
    model = nn.ModuleList([*norms, nn.InstanceNorm1d(4, affine=True, track_running_stats=True)])
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(3)
    init.initialize_(model, keep_deliberate=False)
    for name, value in model.state_dict().items():
        ones = name.endswith(("weight", "running_var"))
        assert (value == ones).all(), name


def test_a_tied_weight_appears_once_and_matches_by_either_name():
    model = NanoGPT()
    assert [name for name in rows(model) if "wte" in name or "lm_head" in name] == ["wte.weight"]
    assert rows(model)["wte.weight"]["note"].startswith("tied with lm_head.weight")
    for name in ("wte.weight", "lm_head.weight"):
        assert stds(model, [Rule(name, "normal_", std=0.5), "auto"])["wte.weight"] == 0.5
    init.initialize_(model, seed=0)
    assert model.wte.weight is model.lm_head.weight


def test_a_module_in_two_places_is_one_and_matches_by_either_name():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    model.append(model[0])
    assert list(rows(model)) == ["0.weight", "0.bias"]
    assert rows(model)["0.weight"]["note"] is None
    assert rows(model, [Rule("2.*", "zeros_")])["0.weight"]["law"] == "zeros_"


def test_a_plan_is_pure():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.seen = None
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            self.seen = self.layer(x)
            self.count = self.count + 1
            torch.rand(3)
            return self.seen

    model, random = nn.Sequential(Keeps(), nn.BatchNorm1d(4)).eval(), torch.get_rng_state()
    before = state(model)
    for _ in range(2):
        str(init.plan(model))
    assert same(before, state(model))
    assert torch.equal(random, torch.get_rng_state())
    assert model[0].seen is None
    assert not any(module.training for module in model.modules())
    copy.deepcopy(model)


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(("name", "recipe"), PAIRS)
def test_the_values_have_the_mean_and_std_that_the_plan_says(name, recipe):
    model = ZOO[name]()
    plan = init.initialize_(model, recipe_for(name, recipe), seed=0)
    for entry in plan.entries:
        values, law = entry.param.tensor.detach().double(), entry.sampler
        if law.std is None:
            continue
        count = values.numel()
        if entry.padding_row is not None:
            values = torch.cat([values[: entry.padding_row], values[entry.padding_row + 1 :]])
        assert abs(values.mean().item() - law.mean) <= 5.5 * law.std / math.sqrt(count)
        # The error of the std of a normal distribution; that of a uniform one is smaller.
        square = ((values - law.mean) ** 2).mean().item()
        near = law.std**2 * max(0.0, 1 - 5.5 * math.sqrt(2 / count))
        assert near * (1 - 1e-4) <= square <= law.std**2 * (1 + 8 * math.sqrt(2 / count) + 1e-4)


def test_the_signal_keeps_its_size_through_the_auto_recipe():
    layers = [layer for _ in range(30) for layer in (nn.Linear(256, 256), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    init.initialize_(model, seed=0)
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    # The last layer is linear, and keeps the rms at 1; each other leaves the log of the square
    # with a spread of about sqrt(5 / 256).
    assert abs(math.log(model(x).square().mean().item())) < 4 * math.sqrt(30 * 5 / 256)


def test_options_of_functional_activations_reach_the_plan():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(8, 8)

        def forward(self, x):
            return F.leaky_relu(self.a(x), 0.5)

    assert stds(Model())["a.weight"] == pytest.approx(math.sqrt(2 / 1.25 / 8))


# A plan as text, as data and as a file.


def small_plan():
    """A plan with a table, a conventional bias and norm, and a frozen weight."""
    model = nn.Sequential(
        nn.Linear(8, 4), nn.ReLU(), nn.BatchNorm1d(4), nn.Linear(4, 2, bias=False), nn.Linear(2, 1)
    )
    model[3].weight.requires_grad_(False)
    return init.plan(model)


SUMMARY = [
    "biases, norms and their statistics: 2 × ones_, 5 × zeros_",
    "frozen, left unchanged: 3.weight",
]


def test_a_plan_prints_as_a_table_with_the_conventional_parameters_below_it():
    lines = str(small_plan()).splitlines()
    assert lines[0].split() == ["parameter", "shape", "layer", "fan_in", "before", "law", "std"]
    assert [line.split()[0] for line in lines[1:3]] == ["0.weight", "4.weight"]
    assert lines[3:] == SUMMARY


@pytest.mark.parametrize(
    ("count", "names"),
    [
        (1, "0.weight"),
        (5, "0.weight, 1.weight, 2.weight, 3.weight, 4.weight"),
        (7, "0.weight, 1.weight, 2.weight, 3.weight, 4.weight and 2 more"),
    ],
)
def test_at_most_five_parameters_are_named_for_a_reason(count, names):
    model = nn.Sequential(*(nn.Linear(3, 3, bias=False) for _ in range(count + 1)))
    model[:count].requires_grad_(False)
    assert str(init.plan(model)).splitlines()[2:] == [f"frozen, left unchanged: {names}"]


def test_a_plan_as_data_has_all_rows():
    plan = small_plan()
    data = json.loads(json.dumps(plan.to_dict()))
    assert data == {"made_by": "plan", "rows": plan.rows}
    assert [row["parameter"] for row in data["rows"]][:2] == ["0.weight", "0.bias"]


def test_a_plan_as_markdown_and_as_html_says_what_it_prints():
    plan = small_plan()
    # A backslash shields the underscore at the end of a word.
    table, lines = plan.to_markdown().replace("\\_", "_").strip().split("\n\n")
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]
    printed = [re.split("  +", line) for line in str(plan).splitlines()[:3]]
    assert [cells[0], *cells[2:]] == printed
    assert lines.splitlines() == [f"- {line}" for line in SUMMARY]
    shown = plan._repr_html_()
    assert re.findall("<th>(.*?)</th>", shown) == printed[0]
    assert re.findall("<td>(.*?)</td>", shown) == [*printed[1], *printed[2]]
    assert re.findall("<li>(.*?)</li>", shown) == SUMMARY


def test_a_plan_of_conventional_parameters_alone_has_no_table():
    plan = init.plan(nn.BatchNorm1d(4))
    line = "biases, norms and their statistics: 2 × ones_, 3 × zeros_"
    assert str(plan) == line
    assert plan._repr_html_() == f"<ul><li>{line}</li></ul>"
    assert "|" not in plan.to_markdown()


@pytest.mark.parametrize(
    "recipe", ["auto", "torch", "orthogonal", [Rule("fc*.weight", "sparse_", sparsity=0.5), "keep"]]
)
def test_a_pickled_plan_draws_the_same_values(recipe):
    model = Plain()
    plan = init.plan(model, recipe)
    again = pickle.loads(pickle.dumps(plan))
    assert again.rows == plan.rows
    with torch.no_grad():
        plan.write_(3)
        again.write_(3)
    for one, other in zip(plan.entries, again.entries, strict=True):
        assert one.param.tensor is not other.param.tensor
        assert torch.equal(one.param.tensor, other.param.tensor)
        formula = one.sampler.std_for_fans
        if formula is not None:
            assert other.sampler.std_for_fans(Fans(7, 9)) == formula(Fans(7, 9))


class Exportable(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, 5)
        self.up, self.down = nn.Linear(32, 64), nn.Linear(64, 32)

    def forward(self, x):
        return self.head(x + self.down(torch.relu(self.up(self.norm(x)))))


def test_an_exported_program_is_planned_and_measured_as_its_model():
    model, x = Exportable(), torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    exported = torch.export.export(model, (x,)).module()
    plans = [{row["parameter"]: row for row in init.plan(e).rows} for e in (model, exported)]
    for name in ("up.weight", "down.weight", "head.weight"):
        one, other = (made[name] for made in plans)
        assert (one["fan_in"], one["before"]) == (other["fan_in"], other["before"])
        assert one["std"] == pytest.approx(other["std"])
    init.initialize_(exported, seed=0)
    init.audit(exported).assert_ok()
    rows = init.measure(exported, x).rows
    assert [row["layer"] for row in rows] == ["up.weight", "down.weight", "head.weight"]
