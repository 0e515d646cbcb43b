"""Plans by hand, values that depend on seed, name and place alone, and failures without trace."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from zoo import PAIRS, ZOO, NanoGPT, Plain, ResNet, encoder, recipe_for

import initguide as init
from initguide import Rule


def rows(model, recipe="auto"):
    return {row["parameter"]: row for row in init.plan(model, recipe).rows}


def stds(model, recipe="auto"):
    return {name: row["std"] for name, row in rows(model, recipe).items()}


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def drawn(model, recipe="auto", seed=0):
    init.initialize_(model, recipe, seed=seed)
    return state(model)


# Plans, worked by hand.


def test_a_perceptron():
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
    # 32 / 4 channels of 3 x 3; one of 5 x 5; 64 channels of 4 x 4, of which a stride of 2 x 2
    # leaves each output a quarter.
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
    assert plan["c.bias_ih"]["law"] == "remembering_"
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
    init.initialize_(model)
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


# Parametrized, lazy, meta.


def test_weight_norm_is_set_through_its_parts():
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(30, 20)), nn.ReLU())
    plain = nn.Sequential(nn.Linear(30, 20), nn.ReLU())
    init.initialize_(model, seed=0)
    init.initialize_(plain, seed=0)
    assert sorted(rows(model)) == sorted(rows(plain))
    assert rows(model)["0.weight"]["layer"] == "Linear"
    torch.testing.assert_close(model[0].weight, plain[0].weight)


def test_orthogonal_parametrizations_take_orthogonal_weights_alone():
    model = nn.Sequential(parametrizations.orthogonal(nn.Linear(8, 8)))
    init.initialize_(model, [Rule("*weight", "orthogonal_"), "auto"], seed=0)
    weight = model[0].weight.detach()
    torch.testing.assert_close(weight @ weight.T, torch.eye(8), atol=1e-5, rtol=0)
    before = state(model)
    with pytest.raises(ValueError, match=r"'0\.weight' must be a weight that can be set"):
        init.initialize_(model, "kaiming", seed=0)
    assert same(before, state(model))


def test_spectral_norm_is_refused_and_not_even_its_estimate_moves():
    model = nn.Sequential(nn.Linear(9, 9), parametrizations.spectral_norm(nn.Linear(9, 9)))
    before, random = state(model), torch.get_rng_state()
    str(init.plan(model))
    with pytest.raises(ValueError, match=r"'1\.weight' must be a weight that can be set.*Spectral"):
        init.initialize_(model)
    assert same(before, state(model))
    assert torch.equal(random, torch.get_rng_state())
    assert all(module.training for module in model.modules())


def test_a_lazy_parameter_is_named():
    model = nn.Sequential(nn.Linear(4, 4), nn.LazyLinear(3))
    for act in (init.plan, init.initialize_):
        with pytest.raises(ValueError, match=r"'1\.weight' must have a shape; got a lazy LazyLin"):
            act(model)


def test_a_meta_model_is_planned_and_after_to_empty_equals_one_built_as_usual():
    with torch.device("meta"):
        model = ResNet()
    assert init.plan(model).rows == init.plan(ResNet()).rows
    with pytest.raises(
        ValueError, match=r"must hold memory: call model\.to_empty.*'conv1\.weight'"
    ):
        init.initialize_(model)
    model.to_empty(device="cpu")
    assert same(drawn(model), drawn(ResNet()))


def test_a_meta_buffer_without_a_rule_is_named():
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_buffer("mask", torch.ones(2, device="meta"))
    with pytest.raises(ValueError, match="got none for mask"):
        init.plan(model)
    assert "mask" in rows(model, [Rule("mask", "ones_"), "auto"])


def test_buffers_other_than_a_norms_statistics_stay():
    class Causal(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("bias", torch.tril(torch.ones(4, 4)))
            self.register_buffer("weight", torch.full((3, 3), 7.0))

    model = nn.Sequential(Causal(), nn.BatchNorm1d(2))
    for recipe in ("auto", "torch", [Rule("*", "ones_", on=nn.modules.batchnorm._NormBase)]):
        init.initialize_(model, recipe)
        assert torch.equal(model[0].bias, torch.tril(torch.ones(4, 4)))
        assert (model[0].weight == 7).all()
    init.initialize_(model, [Rule("0.weight", "zeros_"), "auto"])
    assert not model[0].weight.any()
    init.initialize_(model, [Rule("*bias", "ones_", on=Causal), "auto"])
    assert (model[0].bias == 1).all()


# Rules.


class Scaled(nn.Module):
    """A layer of one's own."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(12, 12)
        self.matrix = nn.Parameter(torch.empty(20, 12))
        self.gamma = nn.Parameter(torch.empty(20))

    def forward(self, x):
        return self.gamma * (self.inner(x) @ self.matrix.T)


def test_modules_of_ones_own_by_rules():
    own = [Rule("*matrix", "xavier_uniform_", on=Scaled), Rule("*gamma", "constant_", val=1e-4)]
    plan = rows(nn.Sequential(Scaled(), nn.ReLU()), [*own, "auto"])
    assert plan["0.matrix"]["std"] == pytest.approx(math.sqrt(2 / 32))
    assert (plan["0.gamma"]["mean"], plan["0.gamma"]["std"]) == (1e-4, 0)
    assert plan["0.inner.weight"]["std"] == pytest.approx(1 / math.sqrt(12))


class Biased(nn.Module):
    """One whose layers' names hold the word that biases are known by."""

    def __init__(self):
        super().__init__()
        self.bias_table = nn.Embedding(9, 4)
        self.debias = nn.Linear(4, 4)
        self.bias = nn.Conv1d(4, 4, 3)

    def forward(self, x):
        y = self.debias(self.bias_table(x)).relu()
        return y + self.bias(y.mT).mean(-1, keepdim=True).mT


@pytest.mark.parametrize("recipe", ["auto", "torch", "xavier", "kaiming", "orthogonal", "gpt2"])
def test_a_weight_is_no_bias_whatever_its_module_is_called(recipe):
    plan = rows(Biased(), recipe)
    assert all(plan[f"{name}.weight"]["std"] != 0 for name in ("bias_table", "debias", "bias"))
    assert recipe == "torch" or plan["debias.bias"]["law"] == "zeros_"


class Strange(Scaled):
    """One whose parameters are used in a way that tells no law."""

    def forward(self, x):
        return self.gamma.exp() * (self.inner(x) @ self.matrix.sin().T)


@pytest.mark.parametrize("recipe", ["auto", "torch", "xavier", "kaiming", "orthogonal"])
def test_a_parameter_without_a_rule_is_an_error(recipe):
    model, random = nn.Sequential(Strange()), torch.get_rng_state()
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    before = state(model)
    with pytest.raises(
        ValueError, match=r"got none for 0\.matrix, 0\.gamma: put Rule\('0\.matrix'"
    ):
        init.initialize_(model, recipe)
    assert same(before, state(model))
    assert torch.equal(random, torch.get_rng_state())


def test_a_rule_that_governs_nothing_is_an_error():
    for recipe in (
        [Rule("fc9*", "zeros_"), "auto"],
        ["auto", Rule("fc1.weight", "zeros_")],
        [Rule("fc1*", "zeros_"), Rule("*", "ones_"), Rule("fc1.weight", "ones_")],
    ):
        with pytest.raises(ValueError, match=r"each rule must govern something; got none for Rule"):
            init.plan(Plain(), recipe)


def test_the_first_match_wins_and_names_in_a_list_stand_for_their_rules():
    plan = rows(Plain(), [Rule("fc1.*", "zeros_"), Rule("fc*.weight", "ones_"), "xavier"])
    laws = {name: row["law"] for name, row in plan.items()}
    assert laws == {
        "fc1.weight": "zeros_",
        "fc1.bias": "zeros_",
        "fc2.weight": "ones_",
        "fc2.bias": "zeros_",
        "fc3.weight": "ones_",
        "fc3.bias": "zeros_",
    }
    both = rows(Plain(), [Rule("fc3.weight", "zeros_"), "xavier", "kaiming"])
    assert both["fc1.weight"]["law"] == "xavier_uniform_"


def test_before_ends_times_and_shape_fans():
    plan = stds(
        ResNet(),
        [
            Rule("*weight", "zeros_", on=nn.Conv2d, ends=True),
            Rule("*conv1.weight", "kaiming_normal_", before="relu", ends=False, times=-0.5),
            "xavier",
        ],
    )
    assert plan["layer1.0.conv2.weight"] == 0
    assert plan["layer1.0.conv1.weight"] == pytest.approx(0.5 * math.sqrt(2 / 72))
    assert plan["fc.weight"] == pytest.approx(math.sqrt(2 / 26))
    model = nn.Sequential(nn.ConvTranspose2d(8, 6, 2, stride=2), nn.Conv2d(6, 6, 3, groups=6))
    for whole, fan_in in ((True, (24, 9)), (False, (8, 9))):
        rule = Rule("*weight", "xavier_normal_", shape_fans=whole)
        assert [rows(model, [rule, "auto"])[f"{i}.weight"]["fan_in"] for i in (0, 1)] == [*fan_in]
    # Xavier's mean of the fans: 9 and 54 by the shape, 9 and 9 by the layer.
    assert stds(model, [rule, "auto"])["1.weight"] == pytest.approx(math.sqrt(1 / 9))


def test_times_scales_the_values_themselves():
    one, two = (
        drawn(Plain(), [Rule("fc1.weight", law, times=times, **options), "auto"])["fc1.weight"]
        for law, times, options in (
            ("normal_", 1.0, {"mean": 1.0, "std": 0.1}),
            ("normal_", -3.0, {"mean": 1.0, "std": 0.1}),
        )
    )
    torch.testing.assert_close(two, -3 * one)
    plan = rows(Plain(), [Rule("fc1.weight", "normal_", mean=1, std=0.1, times=-3), "auto"])
    assert plan["fc1.weight"]["mean"] == -3
    assert plan["fc1.weight"]["std"] == pytest.approx(0.3)


def test_laws_by_name_by_function_and_of_ones_own():
    for law in ("xavier_normal_", "xavier_normal", init.xavier_normal_, init.xavier_normal):
        assert stds(Plain(), [Rule("*weight", law), "auto"])["fc1.weight"] == pytest.approx(
            math.sqrt(2 / 164)
        )

    def halves_(tensor, generator):
        tensor.bernoulli_(0.5, generator=generator)

    one = drawn(Plain(), [Rule("fc1.weight", halves_), "auto"])
    other = drawn(Plain(), [Rule("fc1.weight", halves_), "auto"])
    assert same(one, other)
    assert one["fc1.weight"].unique().tolist() == [0, 1]
    # One that takes no generator is seeded by the global state, which stays.
    model, random = Plain(), torch.get_rng_state()
    one = drawn(model, [Rule("fc1.weight", _bernoulli_), "auto"])
    other = drawn(model, [Rule("fc1.weight", _bernoulli_), "auto"])
    assert same(one, other)
    assert torch.equal(random, torch.get_rng_state())


def _bernoulli_(tensor):
    tensor.bernoulli_(0.5)


def test_a_law_may_change_what_is_there():
    model = Plain()
    init.initialize_(model, "torch", seed=0)
    before = state(model)
    init.initialize_(model, [Rule("fc1.weight", lambda w: w.mul_(2)), "torch"], seed=0)
    torch.testing.assert_close(model.fc1.weight, 2 * before["fc1.weight"])


ERRORS = {
    "an unknown recipe": ("xaver", ValueError, "recipe must be 'auto', .* or 'keep'; got 'xaver'"),
    "a rule alone": (Rule("*", "zeros_"), TypeError, "recipe must be a name or a list of rules"),
    "a number": ([3], TypeError, "recipe must hold rules and names of recipes; got 3"),
    "an unknown name inside": (["xaver"], ValueError, "got 'xaver'"),
    "an unknown law": (
        [Rule("*", "norm")],
        ValueError,
        r"must fit 'fc1\.weight'; got: law must be",
    ),
    "a bad option": (
        [Rule("*", "normal_", sd=1)],
        TypeError,
        r"must fit 'fc1\.weight'; got: .*'sd'",
    ),
    "a bad value": (
        [Rule("*", "normal_", std=-1)],
        ValueError,
        r"fit 'fc1\.weight'; got: std must",
    ),
    "no fans": ([Rule("*", "xavier_normal_")], ValueError, r"fit 'fc1\.bias'; got: .*2 dimensions"),
    "no shape": ([Rule("*", "orthogonal_")], ValueError, r"must fit 'fc1\.bias'"),
    "nothing": ([], ValueError, "got none for fc1.weight, fc1.bias, fc2.weight, .*, …: put"),
}


@pytest.mark.parametrize(("recipe", "kind", "message"), ERRORS.values(), ids=ERRORS)
def test_errors_name_the_rule_and_then_the_value(recipe, kind, message):
    with pytest.raises(kind, match=message):
        init.plan(Plain(), recipe)


def test_errors_of_arguments():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module; got Linear|got type"):
        init.plan(nn.Linear)
    for seed in (1.5, True, "0"):
        with pytest.raises(TypeError, match="seed must be an integer; got"):
            init.initialize_(Plain(), seed=seed)
    with pytest.raises(TypeError, match="pattern must be a string; got 3"):
        Rule(3, "zeros_")
    with pytest.raises(TypeError, match="law must be a name or a function; got 3"):
        Rule("*", 3)
    with pytest.raises(TypeError, match="times must be a number; got 'two'"):
        Rule("*", "zeros_", times="two")


def test_a_rule_says_what_it_is():
    rule = Rule(
        "*w", "normal_", on=(nn.Linear, nn.Conv2d), before="relu", ends=True, times=2, std=3
    )
    text = "Rule('*w', normal_, on=(Linear, Conv2d), before=('relu',), ends=True, times=2.0, std=3)"
    assert repr(rule) == text


# A failure changes nothing.


def _raises_(tensor):
    tensor.fill_(9)
    raise RuntimeError("of its own")


def _returns(tensor):
    return torch.zeros_like(tensor)


@pytest.mark.parametrize(("law", "kind"), [(_raises_, RuntimeError), (_returns, ValueError)])
@pytest.mark.parametrize("seed", [None, 0])
def test_a_law_that_fails_changes_nothing(law, kind, seed):
    # The last to be filled, so that all others could have been.
    model, random = Plain(), torch.get_rng_state()
    before = state(model)
    with pytest.raises(kind) as error:
        init.initialize_(model, [Rule("fc3.bias", law), "auto"], seed=seed)
    assert error.value.__notes__ == [f"raised by {law.__name__} for 'fc3.bias'"]
    assert same(before, state(model))
    assert torch.equal(random, torch.get_rng_state())


# Values depend on seed, name and place alone.


class Two(nn.Module):
    def __init__(self, *, turned=False, more=False):
        super().__init__()
        layers = [("a", nn.Linear(300, 400)), ("c", nn.Conv2d(4, 6, 3)), ("g", nn.LSTM(6, 8))]
        for name, layer in layers[:: -1 if turned else 1]:
            self.add_module(name, layer)
        if more:
            self.extra = nn.Linear(5, 5)


@pytest.mark.parametrize("recipe", ["auto", "torch", "orthogonal"])
def test_values_do_not_depend_on_other_layers_nor_on_the_order(recipe):
    plain = drawn(Two(), recipe)
    assert same(plain, {name: drawn(Two(turned=True), recipe)[name] for name in plain})
    assert same(plain, {name: drawn(Two(more=True), recipe)[name] for name in plain})
    assert not torch.equal(plain["a.weight"], drawn(Two(), recipe, seed=1)["a.weight"])


def test_values_depend_on_the_name():
    model = nn.ModuleDict({"a": nn.Linear(9, 9), "b": nn.Linear(9, 9)})
    values = drawn(model)
    assert not torch.equal(values["a.weight"], values["b.weight"])


@pytest.mark.parametrize("recipe", ["auto", "torch", "orthogonal"])
def test_values_do_not_depend_on_memory_layout(recipe):
    plain, turned = Two(), Two()
    turned.to(memory_format=torch.channels_last)
    turned.a.weight = nn.Parameter(torch.empty(300, 400).T)
    assert not turned.a.weight.is_contiguous()
    assert not turned.c.weight.is_contiguous()
    assert same(drawn(plain, recipe), drawn(turned, recipe))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("recipe", ["auto", "torch", "orthogonal"])
def test_half_precision_is_float32_rounded(recipe, dtype):
    single, half = drawn(Two(), recipe), drawn(Two().to(dtype), recipe)
    # torch's own samplers may round a number beside the bound of a uniform law inward.
    for name, value in half.items():
        torch.testing.assert_close(value, single[name].to(dtype), msg=name)


def test_the_values_in_a_large_parameter_do_not_depend_on_its_size():
    # Blocks of 65 536: the first rows of a taller matrix are those of a shorter one.
    short, tall = (drawn(nn.Sequential(nn.Embedding(n, 256)))["0.weight"] for n in (512, 1024))
    assert torch.equal(short[:256], tall[:256])


def test_without_a_seed_the_global_state_decides_by_one_draw():
    model = Plain()
    torch.manual_seed(5)
    init.initialize_(model)
    one, after = state(model), torch.get_rng_state()
    torch.manual_seed(5)
    seed = int(torch.randint(2**62, ()).item())
    assert torch.equal(after, torch.get_rng_state())
    init.initialize_(model, seed=seed)
    assert same(one, state(model))
    assert torch.equal(after, torch.get_rng_state())
    init.initialize_(model)
    assert not torch.equal(one["fc1.weight"], model.fc1.weight)


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


def test_values_stay_parameters_and_leaves():
    model = ResNet()
    ids = {name: id(parameter) for name, parameter in model.named_parameters()}
    model.fc.weight.requires_grad_(False)
    init.initialize_(model, seed=0)
    assert ids == {name: id(parameter) for name, parameter in model.named_parameters()}
    assert all(p.is_leaf for p in model.parameters())
    assert not model.fc.weight.requires_grad


# What a plan says is what is drawn.


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(("name", "recipe"), PAIRS)
def test_the_values_have_the_mean_and_std_that_the_plan_says(name, recipe):
    model = ZOO[name]()
    plan = init.initialize_(model, recipe_for(name, recipe), seed=0)
    for entry in plan.entries:
        values, law = entry.slot.tensor.detach().double(), entry.law
        if law.std is None:
            continue
        count = values.numel()
        if entry.padding is not None:
            values = torch.cat([values[: entry.padding], values[entry.padding + 1 :]])
        assert abs(values.mean().item() - law.mean) <= 5.5 * law.std / math.sqrt(count)
        # The error of the std of a normal; that of a uniform law is smaller.
        square = ((values - law.mean) ** 2).mean().item()
        near = law.std**2 * max(0.0, 1 - 5.5 * math.sqrt(2 / count))
        assert near * (1 - 1e-4) <= square <= law.std**2 * (1 + 8 * math.sqrt(2 / count) + 1e-4)


def test_encoder_layers_that_torch_copies_come_apart():
    model = encoder()
    assert torch.equal(model.layers[0].linear1.weight, model.layers[1].linear1.weight)
    init.initialize_(model, seed=0)
    assert not torch.equal(model.layers[0].linear1.weight, model.layers[1].linear1.weight)


def test_the_signal_keeps_its_size_through_the_auto_recipe():
    layers = [layer for _ in range(30) for layer in (nn.Linear(256, 256), nn.ReLU())]
    model = nn.Sequential(*layers[:-1])
    init.initialize_(model, seed=0)
    x = torch.randn(64, 256, generator=torch.Generator().manual_seed(0))
    # The last layer is linear, and keeps the rms at 1; each other leaves the log of the square
    # with a spread of about sqrt(5 / 256).
    assert abs(math.log(model(x).square().mean().item())) < 4 * math.sqrt(30 * 5 / 256)


def test_functional_activations_of_ones_own_get_their_gain():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(8, 8)

        def forward(self, x):
            return F.leaky_relu(self.a(x), 0.5)

    assert stds(Model())["a.weight"] == pytest.approx(math.sqrt(2 / 1.25 / 8))
