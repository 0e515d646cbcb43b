"""The role of a weight is read from the forward: the names of these layers tell nothing."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from initguide.graph.role_reader import role_by_name
from initguide.graph.trace import trace
from initguide.graph.weight_roles import WeightRole, block_count, weight_roles

WIDTH = 16


class Net(nn.Module):
    """A model of named layers whose forward is a function of the model and its input."""

    def __init__(self, forward, layers):
        super().__init__()
        self.use = forward
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.use(self, x)


class Net2(Net):
    """The same, with two inputs."""

    def forward(self, x, y):
        return self.use(self, x, y)


def linear(into=WIDTH, out=WIDTH):
    return nn.Linear(into, out, bias=False)


def roles(forward, kind=Net, example=None, **layers):
    model = kind(forward, layers)
    return {
        name.removesuffix(".weight"): role.kind
        for name, role in weight_roles(model, trace(model, example)).items()
    }


def attend(q, k, v):
    return (q @ k.transpose(-2, -1)).softmax(-1) @ v


# Tables, heads and patches.

PLACES = {
    "a count of the inputs": lambda ids: torch.arange(ids.shape[1], device=ids.device),
    "a fixed count": lambda ids: torch.arange(8),
    "a count that inputs shift": lambda ids: ids[:, :1] + torch.arange(8),
}
EXAMPLE = torch.zeros(2, 8, dtype=torch.long)
TABLES = [(place, example) for place in PLACES for example in (None, EXAMPLE)]
TABLES.remove(("a count that inputs shift", None))


@pytest.mark.parametrize(("places", "example"), TABLES)
def test_a_table_that_is_read_at_counted_places_holds_positions(places, example):
    def forward(m, ids):
        return m.z(m.x(ids) + m.y(PLACES[places](ids)))

    tables = {"x": nn.Embedding(30, WIDTH), "y": nn.Embedding(64, WIDTH)}
    found = roles(forward, example=example, **tables, z=linear())
    assert found == {"x": "embedding", "y": "position", "z": "head"}


def test_a_table_of_bags_of_words_is_an_embedding():
    found = roles(lambda m, ids: m.z(m.x(ids)), x=nn.EmbeddingBag(30, WIDTH), z=linear())
    assert found == {"x": "embedding", "z": "head"}


def test_a_table_that_the_model_reads_at_places_of_its_own_holds_positions():
    model = Net(lambda m, ids: m.z(m.x(ids) + m.y(m.places)), {"x": nn.Embedding(30, WIDTH)})
    model.y, model.z = nn.Embedding(64, WIDTH), linear()
    model.register_buffer("places", torch.tensor([3, 1, 2]))
    found = {name: role.kind for name, role in weight_roles(model, trace(model)).items()}
    assert found == {"x.weight": "embedding", "y.weight": "position", "z.weight": "head"}


def test_a_usual_name_tells_positions_that_are_inputs():
    def forward(m, ids, places):
        return m.z(m.x(ids) + m.wpe(places))

    tables = {"x": nn.Embedding(9, WIDTH), "wpe": nn.Embedding(9, WIDTH)}
    found = roles(forward, Net2, **tables, z=linear())
    assert found == {"x": "embedding", "wpe": "position", "z": "head"}


def test_the_last_layer_is_a_head_unless_it_ends_a_branch():
    layers = {"x": linear(WIDTH, 32), "y": linear(32, WIDTH)}
    assert roles(lambda m, x: m.y(m.x(x).relu()), **layers) == {"x": "unknown", "y": "head"}
    inside = roles(lambda m, x: x + m.y(m.x(x).relu()), **layers)
    assert inside == {"x": "up", "y": "down"}


def test_a_convolution_of_an_image_cuts_patches_only_outside_branches():
    layers = {"x": nn.Conv2d(3, WIDTH, 4, 4), "y": nn.Conv2d(WIDTH, WIDTH, 1), "z": linear()}

    def forward(m, x):
        x = m.x(x)
        return m.z((x + m.y(x)).flatten(2).transpose(1, 2))

    assert roles(forward, **layers) == {"x": "patch", "y": "down", "z": "head"}
    layers["x"] = nn.Conv1d(3, WIDTH, 4, 4)
    assert roles(lambda m, x: m.z(m.x(x)), x=layers["x"], z=linear())["x"] == "unknown"


# Attention.

CORES = {
    "written out": attend,
    "a function": F.scaled_dot_product_attention,
    "by name": lambda q, k, v: F.scaled_dot_product_attention(query=q, key=k, value=v),
    "partly by name": lambda q, k, v: F.scaled_dot_product_attention(q, value=v, key=k),
    "softmax of a module": lambda q, k, v: nn.Softmax(-1)(torch.bmm(q, k.mT)) @ v,
    "with dropout": lambda q, k, v: torch.matmul(F.dropout(F.softmax(q @ k.mT, -1), 0.1), v),
}
# Of each: the query, key and value of the layers x, y and z, and the roles of the three.
PROJECTIONS = {
    "three": (lambda m, h: (m.x(h), m.y(h), m.z(h)), ("query", "key", "value")),
    "one packed": (lambda m, h: m.x(h).chunk(3, -1), ("qkv",)),
    "keys and values packed": (
        lambda m, h: (m.x(h), *m.y(h).chunk(2, -1)),
        ("query", "key_value"),
    ),
    "queries and keys packed": (
        lambda m, h: (*m.x(h).chunk(2, -1), m.y(h)),
        ("qkv", "value"),
    ),
    "queries and values packed": (
        lambda m, h: (lambda q, v: (q, m.y(h), v))(*m.x(h).chunk(2, -1)),
        ("qkv", "key"),
    ),
    "queries that are normed": (
        lambda m, h: (F.normalize(m.x(h), dim=-1), m.y(h).tanh(), m.z(h)),
        ("query", "key", "value"),
    ),
}


@pytest.mark.parametrize("core", CORES.values(), ids=CORES)
@pytest.mark.parametrize(("project", "kinds"), PROJECTIONS.values(), ids=PROJECTIONS)
def test_attention_tells_query_key_value_and_output(core, project, kinds):
    def forward(m, h):
        h = h + m.end(core(*project(m, h)))
        return m.head(h)

    layers = dict(zip("xyz", (linear() for _ in kinds), strict=False))
    found = roles(forward, **layers, end=linear(), head=linear())
    assert found == dict(zip("xyz", kinds, strict=False)) | {"end": "output", "head": "head"}


def test_a_projection_before_the_query_belongs_to_the_attention():
    def forward(m, h):
        h = h + m.end(attend(m.x(m.low(h)), m.y(h), m.z(h)))
        return m.head(h)

    names = ("low", "x", "y", "z", "end", "head")
    found = roles(forward, **{name: linear() for name in names})
    want = ("query", "query", "key", "value", "output", "head")
    assert found == dict(zip(names, want, strict=True))


# Routers, gates and pairs.

ROUTED = {
    "softmax": lambda s: s.softmax(-1),
    "the best": lambda s: s.sigmoid() * (s >= s.sigmoid().topk(2, -1)[0].amin(-1, keepdim=True)),
    "sorted": lambda s: s.sigmoid() * torch.sort(s, -1)[0],
}


@pytest.mark.parametrize("route", ROUTED.values(), ids=ROUTED)
def test_a_layer_that_chooses_is_a_router(route):
    def forward(m, h):
        h = h + m.z((m.y(h).relu().unsqueeze(-1) * route(m.x(h)).unsqueeze(-2)).sum(-1))
        return m.head(h)

    found = roles(forward, x=linear(WIDTH, 4), y=linear(), z=linear(), head=linear())
    assert found == {"x": "router", "y": "up", "z": "down", "head": "head"}


GATED = {
    "gate first": (lambda m, h: F.silu(m.x(h)) * m.y(h), ("gate", "up")),
    "gate last": (lambda m, h: m.y(h) * m.x(h).sigmoid(), ("gate", "up")),
    "a module": (lambda m, h: m.y(h).mul(nn.GELU()(m.x(h))), ("gate", "up")),
    "both alike": (lambda m, h: m.x(h) * m.y(h), ("unknown", "unknown")),
    "one side is the input": (lambda m, h: h * m.x(h).sigmoid() + m.y(h), ("up", "unknown")),
    "a number": (lambda m, h: F.silu(m.x(h)) * 2 + m.y(h), ("up", "unknown")),
}


@pytest.mark.parametrize(("gate", "kinds"), GATED.values(), ids=GATED)
def test_a_gate_goes_through_an_activation_and_multiplies(gate, kinds):
    found = roles(
        lambda m, h: m.head(h + m.z(gate(m, h))),
        **{name: linear() for name in ("x", "y", "z", "head")},
    )
    assert found == {"x": kinds[0], "y": kinds[1], "z": "down", "head": "head"}


PACKED = {
    "chunks": lambda y: (lambda a, b: F.silu(a) * b)(*y.chunk(2, -1)),
    "slices": lambda y: y[..., :8] * y[..., 8:].sigmoid(),
    "after a view": lambda y: (lambda z: z[..., 0] * z[..., 1].tanh())(y.view(-1, 4, 8, 2)),
}


@pytest.mark.parametrize("gate", PACKED.values(), ids=PACKED)
def test_a_gate_may_be_packed_with_what_it_multiplies(gate):
    found = roles(
        lambda m, h: m.head(h + m.z(gate(m.x(h)))), x=linear(), z=linear(8), head=linear()
    )
    assert found == {"x": "gate_up", "z": "down", "head": "head"}


def test_an_activation_that_multiplies_its_own_input_is_no_gate():
    found = roles(
        lambda m, h: m.head(h + m.z((lambda y: y * y.sigmoid())(m.x(h)))),
        x=linear(),
        z=linear(),
        head=linear(),
    )
    assert found == {"x": "up", "z": "down", "head": "head"}


# Layers that scale norms.


def modulated(scale):
    def forward(m, h, c):
        h = h + m.z(m.y(scale(m, h, c)).relu())
        return m.head(h)

    layers = {"norm": nn.LayerNorm(WIDTH), "x": linear(), "a": linear(), "b": linear()}
    return roles(forward, Net2, **layers, y=linear(), z=linear(), head=linear())


MODULATED = {
    "norm first": lambda m, h, c: m.norm(h) * (1 + m.x(c)),
    "norm last": lambda m, h, c: (1 + m.x(c)) * m.norm(h),
    "a function": lambda m, h, c: F.layer_norm(h, (WIDTH,)) * (1 + m.x(c)),
    "divided": lambda m, h, c: m.norm(h) / (2 + m.x(c)),
}


@pytest.mark.parametrize("scale", MODULATED.values(), ids=MODULATED)
def test_a_layer_that_scales_a_norm_modulates_it(scale):
    assert modulated(scale)["x"] == "modulation"


NOT_MODULATED = {
    "through an activation": lambda m, h, c: m.norm(h) * m.x(c).sigmoid(),
    "two layers": lambda m, h, c: m.norm(h) * (m.x(c) + m.a(c)),
    "of no norm": lambda m, h, c: h * (1 + m.x(c)),
    "a layer after the norm": lambda m, h, c: m.a(m.norm(h)) * (1 + m.x(c)),
    "a sum": lambda m, h, c: m.norm(h) + m.x(c),
}


@pytest.mark.parametrize("scale", NOT_MODULATED.values(), ids=NOT_MODULATED)
def test_a_layer_that_does_not_scale_a_norm_does_not_modulate(scale):
    assert modulated(scale)["x"] != "modulation"


def test_layers_before_those_that_modulate_make_the_condition():
    def forward(m, h, c):
        c = m.b(m.a(c).relu()).relu()
        return m.head(m.norm(h) * (1 + m.x(c)))

    names = ("a", "b", "x", "head")
    found = roles(forward, Net2, norm=nn.LayerNorm(WIDTH), **{name: linear() for name in names})
    want = {"a": "conditioning", "b": "conditioning", "x": "modulation", "head": "head"}
    assert found == want


# Mixers of positions.


def mixed(conv, **more):
    def forward(m, h):
        h = h + m.z(conv(m, m.x(h).transpose(1, 2)).transpose(1, 2))
        return m.head(h)

    return roles(forward, x=linear(), z=linear(), head=linear(), **more)


def test_a_depthwise_convolution_over_positions_makes_a_mixer():
    mixer = {"x": "mixer input", "z": "mixer output", "head": "head", "y": "conv"}
    deep = nn.Conv1d(WIDTH, WIDTH, 3, groups=WIDTH, padding=1)
    assert mixed(lambda m, h: m.y(h), y=deep) == mixer
    kernel = nn.Parameter(torch.zeros(WIDTH, 1, 3))
    by_function = mixed(lambda m, h: F.conv1d(h, m.y, padding=1, groups=WIDTH), y=kernel)
    assert by_function == mixer


@pytest.mark.parametrize(
    ("conv", "shape"),
    [
        (nn.Conv1d(WIDTH, WIDTH, 3, padding=1), None),
        (nn.Conv1d(WIDTH, WIDTH, 3, groups=4, padding=1), None),
        (None, (WIDTH, 4, 3)),
    ],
)
def test_other_convolutions_make_no_mixer(conv, shape):
    if shape is None:
        found = mixed(lambda m, h: m.y(h), y=conv)
    else:
        kernel = nn.Parameter(torch.zeros(shape))
        found = mixed(lambda m, h: F.conv1d(h, m.y, padding=1, groups=4), y=kernel)
    assert "conv" not in found.values()
    assert "mixer output" not in found.values()


def test_a_convolution_of_one_channel_is_not_depthwise():
    found = roles(
        lambda m, h: m.z(m.x(h.unsqueeze(1)).relu()), x=nn.Conv1d(1, WIDTH, 3), z=linear()
    )
    assert found["x"] != "conv"


def test_a_depthwise_convolution_outside_branches_makes_no_mixer():
    deep = nn.Conv1d(WIDTH, WIDTH, 3, groups=WIDTH)
    found = roles(lambda m, h: m.z(m.x(h).relu()), x=deep, z=nn.Conv1d(WIDTH, 4, 1))
    assert found == {"x": "conv", "z": "head"}


@pytest.mark.parametrize(("after", "kind"), [(F.softplus, "dt"), (F.relu, "up")])
def test_a_projection_whose_biased_sum_goes_through_softplus_makes_time_steps(after, kind):
    found = roles(
        lambda m, h: m.head(h + m.z(after(h @ m.x.weight.T + m.x.bias))),
        x=nn.Linear(WIDTH, WIDTH),
        z=linear(),
        head=linear(),
    )
    assert found == {"x": kind, "z": "down", "head": "head"}


# Blocks, and names.


def test_blocks_are_counted_for_each_kind_of_branch():
    def forward(m, h):
        for a, b, c, d, up, down in m.blocks:
            h = h + d(attend(a(h), b(h), c(h)))
            h = h + down(up(h).relu())
        return m.head(h)

    blocks = nn.ModuleList(nn.ModuleList(linear() for _ in range(6)) for _ in range(3))
    model = Net(forward, {"blocks": blocks, "head": linear()})
    found = weight_roles(model, trace(model))
    kinds = ("query", "key", "value", "output", "up", "down")
    want = {
        f"blocks.{i}.{j}.weight": WeightRole(kind, i)
        for i in range(3)
        for j, kind in enumerate(kinds)
    }
    assert found == want | {"head.weight": WeightRole("head", None)}
    assert block_count(found) == 3
    assert block_count({"head": WeightRole("head")}) == 0
    assert block_count({}) == 0


NAMES = {
    "query": "q_proj wq c_q query to_q q_a_proj wq_b_proj wkv_b kv_a_proj_with_mqa",
    "key": "k_proj wk c_k key to_k",
    "qkv": "c_attn qkv qkv_proj wqkv query_key_value in_proj_weight",
    "router": "router router_logits gate",
    "gate": "gate_proj w1",
    "position": "wpe pos_emb position_embedding pos_embed abs_position_embeddings",
    "": "blocks.0 linear projection gate_projection my_q_proj",
}


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k, names in NAMES.items() for n in names.split()]
)
def test_a_usual_name_tells_a_role(kind, name):
    assert role_by_name(name) == kind
    assert role_by_name(f"w1.query.{name}.weight") == kind
