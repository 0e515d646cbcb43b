"""`audit` finds each planted mistake by kind and name, and finds nothing in right models."""

import math

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn.utils import parametrizations
from zoo import PAIRS, ZOO, encoder, recipe_for

import initguide as init
from initguide import Rule
from initguide.diagnostics.audit import FALSE_ALARM, TESTS, audit, limits_for


class Network(nn.Module):
    """A layer of each kind, wide enough to tell."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(40, 32, padding_idx=0)
        self.conv = nn.Conv2d(32, 64, 3, groups=4)
        self.norm = nn.BatchNorm2d(64)
        self.up = nn.ConvTranspose2d(64, 16, 4, stride=2)
        self.attn = nn.MultiheadAttention(32, 2)
        self.rnn = nn.LSTM(32, 24)
        self.hidden = nn.Linear(48, 120)
        self.other = nn.Linear(48, 120)
        self.head = nn.Linear(120, 50)

    def forward(self, tokens, image):
        image = self.up(torch.relu(self.norm(self.conv(image)))).mean()
        h, _ = self.rnn(self.attn(*[self.table(tokens)] * 3)[0])
        h = torch.relu(self.hidden(h)) + torch.relu(self.other(h))
        return self.head(h) + image


def started(recipe="auto", seed=0):
    model = Network()
    init.initialize_(model, recipe, seed=seed)
    return model


def generator():
    return torch.Generator().manual_seed(0)


def normal_(weight, std, mean=0.0):
    nn.init.normal_(weight, mean, std, generator())


def uniform_(weight, bound):
    nn.init.uniform_(weight, -bound, bound, generator())


def whole_orthogonal_(weight):
    nn.init.orthogonal_(weight, generator=generator())


def copy_(model):
    model.other.weight.copy_(model.hidden.weight)


def default_(module):
    torch.manual_seed(0)
    module.reset_parameters()


HE = math.sqrt(2 / 48)

# What is done to a model, to which parameter, and the kind of the finding.
PLANTED = {
    "fan_out": (
        lambda m: normal_(m.hidden.weight, math.sqrt(2 / 120)),
        "hidden.weight",
        "fans swapped",
    ),
    "the swapped fans of a transposed convolution": (
        # (16 * 4 * 4) by the shape; the layer's is 64 * 4 * 4 / 4, the same: so fan_out, 64.
        lambda m: normal_(m.up.weight, math.sqrt(1 / (64 * 16))),
        "up.weight",
        "fans swapped",
    ),
    "fan_out without the groups": (
        lambda m: normal_(m.conv.weight, math.sqrt(2 / (64 * 9))),
        "conv.weight",
        "fans swapped",
    ),
    "the fans of three projections at once": (
        lambda m: uniform_(m.attn.in_proj_weight, math.sqrt(6 / (32 + 96)) * 1.0001),
        "attn.in_proj_weight",
        "torch default",
    ),
    "a gain left out": (
        lambda m: normal_(m.hidden.weight, HE / 2**0.5),
        "hidden.weight",
        "gain missing",
    ),
    "a gain too many": (
        lambda m: normal_(m.head.weight, math.sqrt(2 / 120)),
        "head.weight",
        "gain wrong",
    ),
    "the std for a bound": (
        lambda m: uniform_(m.other.weight, HE),
        "other.weight",
        "std used as bound",
    ),
    "the bound for a std": (
        lambda m: normal_(m.other.weight, HE * 3**0.5),
        "other.weight",
        "bound used as std",
    ),
    "the variance for a std": (
        lambda m: normal_(m.other.weight, HE**2),
        "other.weight",
        "square root missing",
    ),
    "the std for a variance": (
        lambda m: normal_(m.other.weight, HE**0.5),
        "other.weight",
        "square root twice",
    ),
    "a std from nowhere": (lambda m: normal_(m.head.weight, 0.4), "head.weight", "std wrong"),
    "a mean": (lambda m: normal_(m.head.weight, 1 / 120**0.5, 0.02), "head.weight", "mean"),
    "another distribution": (
        lambda m: uniform_(m.hidden.weight, HE * 3**0.5),
        "hidden.weight",
        "uniform for normal",
    ),
    "a layer left out": (lambda m: default_(m.hidden), "hidden.weight", "torch default"),
    "its bias left out": (lambda m: default_(m.hidden), "hidden.bias", "torch default"),
    "a convolution left out": (lambda m: default_(m.conv), "conv.weight", "torch default"),
    "gates left out": (lambda m: default_(m.rnn), "rnn.weight_ih_l0", "torch default"),
    "a state left out": (lambda m: default_(m.rnn), "rnn.weight_hh_l0", "torch default"),
    "forgetting left out": (lambda m: default_(m.rnn), "rnn.bias_ih_l0", "torch default"),
    "zeros": (lambda m: m.hidden.weight.zero_(), "hidden.weight", "constant"),
    "an orthogonal one of equal values": (
        lambda m: m.rnn.weight_hh_l0.fill_(0.1),
        "rnn.weight_hh_l0",
        "constant",
    ),
    "dead units": (lambda m: m.hidden.weight[7].zero_(), "hidden.weight", "constant rows"),
    "a dead input": (
        lambda m: m.hidden.weight[:, 3].fill_(0.1),
        "hidden.weight",
        "constant columns",
    ),
    "NaN": (lambda m: m.conv.weight[0, 0, 0].fill_(math.nan), "conv.weight", "not finite"),
    "infinity": (lambda m: m.conv.bias[3:].fill_(math.inf), "conv.bias", "not finite"),
    "huge values": (lambda m: m.head.weight[0, :3].fill_(1e30), "head.weight", "untouched memory"),
    "denormal values": (
        lambda m: m.head.weight[0, :3].fill_(1e-41),
        "head.weight",
        "untouched memory",
    ),
    "a copy": (copy_, "other.weight", "identical"),
    "gates orthogonal as a whole": (
        lambda m: whole_orthogonal_(m.rnn.weight_hh_l0),
        "rnn.weight_hh_l0",
        "not orthogonal",
    ),
    "gates with another gain": (
        lambda m: m.rnn.weight_hh_l0.mul_(0.5),
        "rnn.weight_hh_l0",
        "gain wrong",
    ),
    "not orthogonal": (
        lambda m: normal_(m.rnn.weight_hh_l0, 1 / 24**0.5),
        "rnn.weight_hh_l0",
        "not orthogonal",
    ),
    "no forget bias": (lambda m: m.rnn.bias_ih_l0.zero_(), "rnn.bias_ih_l0", "wrong values"),
    "a random bias": (lambda m: normal_(m.rnn.bias_hh_l0, 1), "rnn.bias_hh_l0", "wrong values"),
    "a norm's random scale": (
        lambda m: normal_(m.norm.weight, 0.1, 1),
        "norm.weight",
        "wrong values",
    ),
    "statistics that moved": (
        lambda m: m.norm.running_var.fill_(2),
        "norm.running_var",
        "wrong values",
    ),
    "a padding row that is not zero": (
        lambda m: m.table.weight[0].fill_(1),
        "table.weight",
        "padding",
    ),
}


@pytest.mark.parametrize(("plant", "name", "kind"), PLANTED.values(), ids=PLANTED)
def test_a_planted_mistake_is_found(plant, name, kind, request):
    model = started()
    with torch.no_grad():
        plant(model)
    found = audit(model).findings
    assert (name, kind) in [(each.where, each.kind) for each in found]
    # And nothing else; a module that is left out has several parameters.
    assert {each.where.rpartition(".")[0] for each in found} == {name.rpartition(".")[0]}
    assert len(found) == 1 or "left out" in request.node.name


WORDS = {
    "fan_out": (
        "the std must be 0.204; got 0.129, as if fan_in and fan_out were swapped",
        "is 120",
    ),
    "a gain left out": (
        "the std must be 0.204; got 0.144, as if the gain of relu, 1.414, was missing",
    ),
    "the std for a bound": (
        "the std must be 0.204; got 0.117, as if the std was used as the bound of a uniform",
    ),
    "a layer left out": ("torch's own default, U(±0.1443); they must be N(0, 0.2041²)",),
    "another distribution": (
        "the distribution must be N(0, 0.2041²); distance ",
        "the values look uniform",
    ),
    "dead units": ("all values must be random; each of these rows has a single value: 7",),
    "gates orthogonal as a whole": ("each of the 4 blocks must be orthogonal; only the whole",),
    "gates with another gain": ("all singular values must be 1; got 0.5",),
    "no forget bias": ("24 of 96 values are not ", "the largest difference is 1."),
    "a copy": ("the values are those of hidden.weight, bit for bit",),
}


@pytest.mark.parametrize("mistake", WORDS)
def test_a_finding_says_what_it_is(mistake):
    plant, name, _ = PLANTED[mistake]
    model = started()
    with torch.no_grad():
        plant(model)
    words = next(str(each) for each in audit(model).findings if each.where == name)
    assert all(each in words for each in WORDS[mistake])


def test_two_explanations_are_both_said():
    # Twice as many outputs as inputs: fan_out is the same as a gain of sqrt(2) left out.
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 9))
    init.initialize_(model, seed=0)
    normal_(model[0].weight, math.sqrt(1 / 64))
    (found,) = audit(model).findings
    assert found.kind == "fans swapped"
    assert "as if fan_in and fan_out were swapped, or as if the gain of relu" in found.message
    assert "fan_in is 64 and fan_out is 128" in found.message


def test_the_fans_of_the_layer_where_the_plan_takes_those_of_the_shape():
    recipe = [Rule("*weight", "lecun_normal_", shape_fans=True), "auto"]
    model = nn.Sequential(nn.ConvTranspose2d(64, 8, 3))
    init.initialize_(model, recipe, seed=0)
    assert not audit(model, recipe).findings
    # 8 * 9 by the shape, 64 * 9 in fact.
    normal_(model[0].weight, math.sqrt(1 / (64 * 9)))
    (found,) = audit(model, recipe).findings
    assert found.kind == "wrong fans"
    assert "the fans were those of the layer" in found.message


def test_a_gain_of_another_activation():
    model = nn.Sequential(nn.Linear(64, 100), nn.Tanh(), nn.Linear(100, 9))
    init.initialize_(model, seed=0)
    normal_(model[0].weight, math.sqrt(2 / 164))
    (found,) = audit(model).findings
    assert found.kind == "gain missing"
    assert "as if the gain of tanh, 1.593, was missing" in found.message


def test_a_normal_where_the_plan_cuts_it():
    recipe = [Rule("*weight", "truncated_normal_", std=0.02), "auto"]
    model = nn.Sequential(nn.Linear(64, 100))
    init.initialize_(model, recipe, seed=0)
    assert not audit(model, recipe).findings
    normal_(model[0].weight, 0.02)
    (found,) = audit(model, recipe).findings
    assert found.kind == "truncation absolute"
    assert found.message.endswith("the values look normal")


def test_gamma_that_was_not_zeroed():
    model = ZOO["resnet"]()
    init.initialize_(model, seed=0)
    found = audit(model, "zero_gamma").findings
    names = [f"layer{stage}.{block}.bn2.weight" for stage in (1, 2) for block in (0, 1)]
    assert [each.where for each in found] == names
    assert {each.kind for each in found} == {"torch default"}


def test_copies_of_encoder_layers_and_ties_which_are_none():
    torch.manual_seed(0)
    model = encoder(3)
    found = audit(model, "torch").findings
    assert {each.kind for each in found} == {"identical"}
    assert len(found) == 2 * sum("weight" in n or "linear" in n for n in _random_of_one(model))
    tied = nn.Sequential(nn.Linear(9, 9), nn.ReLU(), nn.Linear(9, 9))
    tied[2].weight = tied[0].weight
    init.initialize_(tied, seed=0)
    assert not audit(tied).findings


def _random_of_one(model):
    zero = ("norm", "in_proj_bias", "out_proj.bias")
    names = [name for name, _ in model.layers[0].named_parameters()]
    return [name for name in names if not any(word in name for word in zero)]


def test_a_model_that_nothing_has_initialized():
    with torch.device("meta"):
        model = Network()
    report = audit(model)
    assert report.partial
    assert {row["found"] for row in report.rows} == {None}
    assert report.notes == [
        "not known: the values of 24 of 24 parameters, which are on the meta device"
    ]
    model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.zero_()
    found = {each.where: each.kind for each in audit(model).findings}
    weights = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
    assert {found[name] for name in weights} == {"constant"}
    assert found["norm.weight"] == "wrong values"


MANY = ("resnet", "mobilenet", "nanogpt", "mixer", "wavenet", "swiglu", "encoder")


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
@pytest.mark.parametrize(("name", "recipe"), PAIRS)
def test_what_a_recipe_draws_is_clean(name, recipe):
    model, recipe = ZOO[name](), recipe_for(name, recipe)
    for seed in range(5 if name in MANY else 1):
        init.initialize_(model, recipe, seed=seed)
        audit(model, recipe).assert_ok()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("recipe", ["auto", "torch", "orthogonal"])
def test_every_precision_is_clean(recipe, dtype):
    model = Network().to(dtype)
    for seed in range(3):
        init.initialize_(model, recipe, seed=seed)
        audit(model, recipe).assert_ok()


class TiedHead(nn.Module):
    """An embedding with a padding row, whose weight is the head's too."""

    def __init__(self, words, width, padding):
        super().__init__()
        self.table = nn.Embedding(words, width, padding_idx=padding)
        self.out = nn.Linear(width, words, bias=False)
        self.out.weight = self.table.weight

    def forward(self, ids):
        return self.out(self.table(ids))


@pytest.mark.parametrize(
    ("words", "width", "padding"), [(100, 64, 0), (257, 256, 256), (256, 256, 3), (40, 300, -1)]
)
def test_a_padding_row_of_an_orthogonal_weight_is_clean(words, width, padding):
    model = TiedHead(words, width, padding)
    init.initialize_(model, "orthogonal", seed=0)
    audit(model, "orthogonal").assert_ok()
    with torch.no_grad():
        model.table.weight[10] *= 1.1
    assert [found.kind for found in audit(model, "orthogonal").findings] == ["not orthogonal"]


OTHER_LAWS = {
    "sparse": ("sparse_", {"sparsity": 0.3}),
    "identity": ("identity_", {}),
    "of its own": (lambda w: w.copy_(torch.eye(*w.shape)), {}),
    "relative": (lambda w: w.mul_(2), {}),
    "shifted": ("normal_", {"mean": 3.0, "std": 0.1, "times": -2.0}),
    "cut far out": ("trunc_normal_", {"a": 1.0, "b": math.inf}),
    "a constant": ("normal_", {"std": 0.0, "mean": 2.0}),
    "no gain": ("orthogonal_", {"gain": 0.0}),
    "rectangular": ("orthogonal_", {"gain": "relu", "times": 3.0}),
    "scaled": ("variance_scaling_", {"scale": 2.0, "mode": "fan_avg"}),
}


@pytest.mark.parametrize(("law", "options"), OTHER_LAWS.values(), ids=OTHER_LAWS)
def test_other_laws_are_clean(law, options):
    model = nn.Sequential(nn.Linear(60, 40), nn.Linear(40, 50))
    recipe = [Rule("*weight", law, **options), "auto"]
    for seed in range(5):
        init.initialize_(model, recipe, seed=seed)
        audit(model, recipe).assert_ok()


@pytest.mark.parametrize("law", ["identity_", lambda w: w.copy_(torch.eye(*w.shape))])
def test_a_law_that_draws_nothing_fixes_every_value(law):
    model = nn.Sequential(nn.Linear(6, 6))
    recipe = [Rule("*weight", law), "auto"]
    init.initialize_(model, recipe)
    with torch.no_grad():
        model[0].weight[0, 1] = 0.5
    (found,) = audit(model, recipe).findings
    assert found.kind == "wrong values"
    assert "1 of 36 values" in found.message


def test_parametrized_weights_are_read_without_a_trace():
    model = nn.Sequential(
        parametrizations.spectral_norm(nn.Linear(20, 30)),
        nn.ReLU(),
        parametrizations.weight_norm(nn.Linear(30, 20)),
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert audit(model).findings
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_an_audit_changes_nothing():
    model = Network().eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    audit(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert not any(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_audit_prints_its_rows_and_findings():
    clean = audit(started())
    assert str(clean).splitlines()[0].split() == ["parameter", "shape", "law", "std", "found"]
    assert str(clean).splitlines()[-2] == "nothing found wrong"
    assert str(clean).splitlines()[-1].startswith(f"compared: {len(clean.rows)} parameters; ")
    assert "norm.weight" not in str(clean)
    clean.assert_ok()
    model = started()
    with torch.no_grad():
        normal_(model.norm.weight, 0.1, 1)
        model.head.weight.fill_(0.1)
    wrong = audit(model)
    assert "\nnorm.weight" in str(wrong)
    assert " in norm.weight: " in str(wrong)
    assert "<td>norm.weight</td>" in wrong._repr_html_()
    assert "<li>error: constant in head.weight: all 6000 values are 0.1;" in wrong._repr_html_()
    with pytest.raises(AssertionError, match=r"constant in head\.weight"):
        wrong.assert_ok()
    row = {each["parameter"]: each for each in wrong.rows}["hidden.weight"]
    assert row["std"] == pytest.approx(HE)
    assert row["found"] == pytest.approx(model.hidden.weight.std(correction=0).item(), rel=1e-5)


def test_arguments():
    with pytest.raises(TypeError, match=r"model must be an nn\.Module"):
        audit(nn.Linear)
    with pytest.raises(ValueError, match="recipe must be"):
        audit(Network(), "xaver")
    assert not audit(nn.Sequential(nn.Linear(1, 1)), [Rule("*", "normal_", std=1.0)]).findings


def test_limits_count_the_tests():
    small, large = audit(nn.Sequential(nn.Linear(3, 5))), audit(started())
    limits = [limits_for(len(report.rows)).errors for report in (small, large)]
    assert limits[0] < limits[1] < 6.5
    want = stats.norm.isf(FALSE_ALARM / (2 * TESTS * 2))
    assert limits[0] == pytest.approx(want, rel=1e-5)
    for report, limit in zip((small, large), limits, strict=True):
        assert report.notes[0].endswith(f"may be off by {limit:.2f} standard errors")


@pytest.mark.parametrize("shape", [(3, 5), (1, 1), (2, 1), (1, 3)])
@pytest.mark.parametrize("recipe", ["auto", "torch", "xavier", "orthogonal"])
def test_hundreds_of_small_layers_raise_no_alarm(shape, recipe):
    model = nn.Sequential(*(nn.Linear(shape[1], shape[0]) for _ in range(100)))
    for seed in range(3):
        init.initialize_(model, recipe, seed=seed)
        alarms = [each for each in audit(model, recipe).findings if each.kind != "identical"]
        assert alarms == []


def test_ranks_needs_several_processes():
    with pytest.raises(ValueError, match="ranks needs a process group"):
        audit(started(), "xavier", ranks=True)
