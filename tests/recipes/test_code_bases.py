"""The recipes of code bases: numbers worked by hand, tiny models of each family, the audit."""

import math

import pytest
import torch
from code_base_models import FAMILIES, Decoder, batch, make
from torch import nn

import initguide as init
from initguide.graph.trace import trace
from initguide.graph.weight_roles import block_count, weight_roles
from initguide.recipes.code_bases.rules import CODE_BASES

# The std of a normal that is cut at three of its std: sqrt(1 - 6 phi(3) / (2 Phi(3) - 1)), with
# phi(3) = 0.00443185 and Phi(3) = 0.99865010.
CUT = 0.986578
# sqrt(2 / (5 * 256)); 2 / (4 sqrt 256); 0.02 / sqrt 8; 1 / sqrt 512.
SMALL, WANG, BY_COUNT, ROOT_512 = 0.0395285, 0.03125, 0.00707107, 0.0441942
# Width 256, 4 blocks, MLP 512; each std in the second block, so that l + 1 = 2.
NUMBERS = {
    "torchtitan-llama3": (
        # The output, up and down: 0.02 / sqrt(2 * 2).
        {
            "embedding": 1,
            "head": CUT / 16,
            "query": 0.02,
            "value": 0.02,
            "output": 0.01,
            "gate": 0.02,
        }
        | {"up": 0.01, "down": 0.01}
    ),
    "torchtitan-deepseek-v3": (
        {
            "embedding": 1,
            "head": CUT / 16,
            "key": 0.02,
            "output": 0.01,
            "gate": 0.02,
            "up": 0.01,
            "down": 0.01,
        }
        | {"router": 0.01}
    ),
    "torchtitan-qwen3-moe": (
        {
            "embedding": 0.02,
            "head": 0.02,
            "query": 0.02,
            "output": BY_COUNT,
            "gate": 0.02,
            "up": 0.02,
        }
        | {"down": BY_COUNT, "router": 0.02}
    ),
    "torchtitan-gpt-oss": (
        {
            "embedding": 0.02,
            "head": CUT / 16,
            "query": 0.01,
            "output": 0.01,
            "gate": 0.01,
            "up": 0.01,
        }
        | {"down": 0.01, "router": 0.01}
    ),
    "olmo-core": (dict.fromkeys(("embedding", "head", "query", "down"), 0.02 * CUT)),
    "olmo-core-llama": (
        {
            "embedding": 1,
            "head": CUT / 16,
            "query": 0.02 * CUT,
            "output": BY_COUNT * CUT,
            "gate": 0.02 * CUT,
        }
        | {"up": BY_COUNT * CUT, "down": BY_COUNT * CUT}
    ),
    "olmo-core-llama-depth": (
        {
            "embedding": 1,
            "query": 0.02 * CUT,
            "output": 0.01 * CUT,
            "up": 0.01 * CUT,
            "down": 0.01 * CUT,
        }
    ),
    "olmo-core-fan-in": (
        {
            "embedding": 1,
            "head": CUT / 16,
            "query": CUT / 16,
            "output": CUT / 16,
            "down": ROOT_512 * CUT,
        }
    ),
    "megatron": (
        {
            "embedding": 0.02,
            "position": 0.02,
            "head": 0.02,
            "qkv": 0.02,
            "output": BY_COUNT,
            "up": 0.02,
        }
        | {"down": BY_COUNT}
    ),
    # 0.02 / sqrt 4.
    "megatron-hybrid": ({"qkv": 0.02, "output": 0.01, "up": 0.02, "down": 0.01}),
    "gpt-neox": {"embedding": SMALL, "qkv": SMALL, "output": WANG, "up": SMALL, "down": WANG},
    "litgpt": (
        {
            "embedding": SMALL,
            "head": SMALL,
            "query": SMALL,
            "output": 0.015625,
            "up": SMALL,
            "down": 0.015625,
        }
    ),
    "llm-foundry": (
        {"embedding": SMALL, "query": SMALL, "output": WANG, "up": SMALL, "down": WANG}
    ),
    "lingua": (
        {"embedding": CUT / 16, "query": CUT / 16, "output": CUT / 16, "up": CUT / 16}
        | {"down": ROOT_512 * CUT}
    ),
    # 0.025 / sqrt 8.
    "nanotron": ({"query": 0.025, "output": 0.00883883, "up": 0.025, "down": 0.00883883}),
    "nanotron-spectral": (
        # A key has 128 outputs: sqrt(1/2) / 16. The down projection: sqrt(1/2) / sqrt 512 = 1/32.
        {
            "embedding": 1,
            "query": 1 / 16,
            "key": ROOT_512,
            "up": 1 / 16,
            "down": 1 / 32,
            "head": 1 / 16,
        }
    ),
    "nanochat": (
        {"embedding": 0.8, "head": 0.001, "query": 0.0625, "output": 0, "up": 0.025, "down": 0}
    ),
    "modded-nanogpt": (
        {
            "embedding": 0.005,
            "head": 0.005,
            "query": 0.03125,
            "output": 0.03125,
            "up": 0.03125,
            "down": 0,
        }
    ),
    "dion": {"embedding": 1, "query": 1 / 16, "key": ROOT_512, "down": 1 / 32, "head": 1 / 16},
    # With heads of size 64: 1 / 16 / 8.
    "maxtext": (
        {
            "embedding": 1,
            "head": 1 / 16,
            "query": 0.0078125,
            "key": 0.0625,
            "value": 0.0625,
            "output": 0.0625,
            "up": 0.0625,
        }
        | {"down": ROOT_512}
    ),
    "levanter": (
        {"embedding": CUT / 256, "head": CUT / 16, "query": CUT / 16, "up": CUT / 16}
        | {"down": ROOT_512 * CUT}
    ),
    "gemma": (dict.fromkeys(("embedding", "query", "output", "gate", "down"), 0.01)),
    "hf": (dict.fromkeys(("embedding", "head", "query", "down", "router"), 0.02)),
    # 1 / 16 / sqrt 8.
    "ngpt": {"embedding": 1 / 16, "query": 1 / 16, "output": 0.0220971, "down": 0.0220971},
    # Xavier's std are 1/16 for 256 to 256, sqrt(2 / 384) = 0.0721688 for a value with 128 outputs,
    # sqrt(2 / 768) = 0.0510310 in the MLP, sqrt(2 / 556) for a head with 300 outputs.
    # (8 * 4)^(-1/4) = 0.4204482.
    "deepnorm": {"query": 1 / 16, "value": 0.0303432, "output": 0.0262780, "down": 0.0214559},
    # 0.67 * 4^(-1/4) = 0.4737615, and (9 * 4)^(-1/4) = 0.4082483.
    "t-fixup": {
        "embedding": 0.0255155,
        "head": 0.0599760,
        "key": 0.0721688,
        "value": 0.0341908,
        "output": 0.0296101,
        "up": 0.0241765,
    },
    # In the MLP sqrt(2 / 768), as above.
    "small-init": {"embedding": 1 / 16, "query": SMALL, "output": SMALL, "down": 0.0510310},
    "mup": {"embedding": 0.02, "position": 0.02, "qkv": 0.01, "down": 0.01, "head": 0.005},
    "completep": {"embedding": 0.02, "qkv": 0.01, "down": 0.01, "head": 0.02},
    # sqrt(0.1 / 256), and sqrt(0.1 / 512) for the down projection.
    "switch": {"embedding": 1, "query": 0.0197642, "router": 0.0197642, "down": 0.0139754},
    # Inner width 512, kernel 4, rank 16: 1 / sqrt 12, 1 / sqrt 48, 1 / sqrt(3 * 512 * 4).
    "mamba": {"embedding": 0.02, "conv": 0.2886751, "dt": 0.1443376, "mixer output": 0.0127578},
    # qkv has 768 outputs, the MLP 1024 units: sqrt(2 / 1024), sqrt(2 / 512), sqrt(2 / 1280).
    # A patch has 16 values: sqrt(2 / 272).
    "dit": (
        {"embedding": 0.02, "conditioning": 0.02, "qkv": ROOT_512, "output": 0.0625, "up": SMALL}
        | {"down": SMALL, "patch": 0.0857493, "modulation": 0, "head": 0}
    ),
}


def stds_by_role(model, recipe, **options):
    """The planned std of each role, in the second block where the role has several."""
    rows = {row["parameter"]: row for row in init.plan(model, recipe, **options).rows}
    found = {}
    for name, role in weight_roles(model, trace(model)).items():
        if name in rows and role.block in (None, 1):
            found[role.kind] = rows[name]["std"]
    return found


@pytest.fixture(scope="module")
def planned():
    """For each recipe, the std of each parameter of its family's model."""
    found = {}
    for name, (family, options) in FAMILIES.items():
        rows = init.plan(make(family), name, **options).rows
        found[name] = {row["parameter"]: (row["law"], row["std"]) for row in rows}
    return found


def test_each_code_base_has_numbers():
    assert {record.name for record in CODE_BASES} == NUMBERS.keys() == FAMILIES.keys()
    assert len(NUMBERS) >= 20


@pytest.mark.parametrize("name", NUMBERS)
def test_the_plan_has_the_numbers_worked_by_hand(name):
    (family, options), numbers = FAMILIES[name], NUMBERS[name]
    found = stds_by_role(make(family), name, **options)
    assert {role: found[role] for role in numbers} == pytest.approx(numbers, rel=1e-5)


def difference(one, other):
    """How far two recipes are apart: the largest ratio of two std, or infinity."""
    ratios = []
    for name, (law, std) in one.items():
        other_law, other_std = other[name]
        if std and other_std:
            ratios.append(abs(math.log(std / other_std)))
        elif (std or 0) != (other_std or 0) or law != other_law:
            ratios.append(math.inf)
    return max(ratios)


@pytest.mark.parametrize("name", NUMBERS)
def test_the_audit_tells_a_code_base_from_its_nearest_neighbour(name, planned):
    family, options = FAMILIES[name]
    model = make(family)
    init.initialize_(model, name, seed=3, **options)
    assert init.audit(model, name, **options).findings == []
    assert all(out.isfinite().all() for out in [model(*batch(family))])
    others = [n for n, (f, _) in FAMILIES.items() if f == family and n != name]
    apart = {other: difference(planned[name], planned[other]) for other in others}
    different = {other: value for other, value in apart.items() if value > 1e-6}
    nearest = min(different, key=different.__getitem__, default="kaiming")
    assert not init.audit(model, nearest, **FAMILIES.get(nearest, (family, {}))[1]).ok


@pytest.mark.parametrize("family", ["llama", "gpt", "moe", "mamba", "dit"])
def test_every_role_is_found_by_use(family):
    model = make(family, 64, 3)
    roles = weight_roles(model, trace(model))
    assert "unknown" not in {role.kind for role in roles.values()}
    assert block_count(roles) == 3


def test_the_first_block_takes_the_shallowest_factor():
    rows = {r["parameter"]: r["std"] for r in init.plan(Decoder(64, 3), "torchtitan-llama3").rows}
    stds = [rows[f"stack.{i}.mix.d.weight"] for i in range(3)]
    assert stds == pytest.approx([0.02 / math.sqrt(2 * (i + 1)) for i in range(3)])


def test_options_change_the_numbers():
    wide = stds_by_role(make("gpt"), "megatron", mup=4)
    assert wide["qkv"] == pytest.approx(0.01)
    assert wide["output"] == pytest.approx(0.00353553, rel=1e-5)
    assert wide["embedding"] == 0.02
    # The router is a matrix inside a block, so it is scaled too.
    assert stds_by_role(make("moe"), "megatron", mup=4)["router"] == pytest.approx(0.01)
    deep = stds_by_role(make("gpt"), "megatron", n_layers=32)
    assert deep["output"] == pytest.approx(0.02 / 8)
    model = make("gpt")
    init.initialize_(model, "megatron", seed=0, mup=4)
    assert init.audit(model, "megatron", mup=4).ok
    assert not init.audit(model, "megatron").ok


class SharedKeys(nn.Module):
    """A decoder of one block, in which one matrix gives keys and values."""

    def __init__(self, d=256, words=300):
        super().__init__()
        self.table, self.norm, self.end = nn.Embedding(words, d), nn.LayerNorm(d), nn.Linear(d, 300)
        self.asks, self.both, self.mix = nn.Linear(d, d), nn.Linear(d, 2 * d), nn.Linear(d, d)
        self.wide, self.narrow = nn.Linear(d, 3 * d), nn.Linear(3 * d, d)

    def forward(self, ids):
        x = self.table(ids)
        y = self.norm(x)
        key, value = self.both(y).chunk(2, -1)
        x = x + self.mix(nn.functional.scaled_dot_product_attention(self.asks(y), key, value))
        return self.end(x + self.narrow(self.wide(self.norm(x)).relu()))


def test_a_matrix_of_keys_and_values_has_their_distribution():
    rows = init.plan(SharedKeys(), "maxtext", head_dim=64).rows
    stds = {row["parameter"]: row["std"] for row in rows}
    assert stds["asks.weight"] == pytest.approx(1 / 128)
    assert stds["both.weight"] == pytest.approx(1 / 16)
    with pytest.raises(ValueError, match=r"got none for 'key_value', the role of 'both\.weight'"):
        init.plan(SharedKeys(), "deepnorm")


def test_rules_of_the_caller_come_before_a_code_base():
    model = make("gpt", 64, 2)
    recipe = [init.Rule("end.weight", "zeros_"), "megatron"]
    rows = {r["parameter"]: r["std"] for r in init.plan(model, recipe, mup=4).rows}
    assert rows["end.weight"] == 0
    assert rows["stack.0.mix.one.weight"] == pytest.approx(0.01)


class Counting(Decoder):
    """A decoder whose forward branches on a value, so that no trace shows its branches."""

    def forward(self, ids):
        return super().forward(ids) if ids.sum() > 0 else super().forward(ids + 1)


def test_the_number_of_blocks_is_asked_for_where_the_trace_has_none():
    class Opaque(nn.Module):
        """A block whose forward branches on a value."""

        def __init__(self, block):
            super().__init__()
            self.parts = nn.ModuleDict(block.named_children())

        def forward(self, x):
            p = self.parts
            x = x + p["mix"](p["before"](x)) if x.sum() > 0 else x
            return x + p["think"](p["middle"](x))

    model = Counting(64, 3)
    model.stack = nn.ModuleList(map(Opaque, model.stack))
    with pytest.raises(ValueError, match=r"'litgpt' needs the number of blocks .*: pass n_layers"):
        init.plan(model, "litgpt")
    rows = {row["parameter"]: row["std"] for row in init.plan(model, "litgpt", n_layers=3).rows}
    assert rows["stack.2.parts.mix.d.weight"] == pytest.approx(1 / 24)  # 1 / (3 sqrt 64)


def test_an_example_shows_the_blocks_of_a_forward_that_branches():
    model = Counting(64, 3)
    rows = init.plan(model, "torchtitan-llama3", example=batch("llama")).rows
    stds = {row["parameter"]: row["std"] for row in rows}
    assert stds["stack.2.mix.d.weight"] == pytest.approx(0.02 / math.sqrt(6))


@pytest.mark.parametrize(
    ("family", "recipe", "role"),
    [
        ("gpt", "torchtitan-llama3", "gate"),
        ("llama", "mamba", "mixer input"),
        ("llama", "torchtitan-deepseek-v3", "router"),
        ("moe", "litgpt", "router"),
        ("mamba", "hf", "query"),
        ("dit", "megatron", "patch"),
    ],
)
def test_a_model_of_another_family_gets_one_error_with_the_role(family, recipe, role):
    model = make(family, 64, 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=f"recipe '{recipe}' .*'({role})'"):
        init.initialize_(model, recipe)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("auto", {"mup": 2}, "recipe 'auto' has no options; got 'mup'"),
        ("hf", {"mup": 2}, "'hf' has the options n_layers, std; got 'mup'"),
        ("maxtext", {}, "'maxtext' needs the option 'head_dim'; got none"),
        ("hf", {"std": "wide"}, "std must be a number; got 'wide'"),
        ("litgpt", {"n_layers": 2.5}, "n_layers must be a positive integer; got 2.5"),
        (["auto"], {"std": 1}, "recipe must hold one with options; got 'std'"),
    ],
)
def test_wrong_options_are_named(recipe, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        init.plan(make("llama", 64, 2), recipe, **options)
