"""Bad input at the model level: an error that names the layer or rule, and nothing has changed."""

import copy
import math
import random
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import initguide as init
from initguide import Rule

NUMPY = np.random.mtrand._rand
X = torch.randn(16, 6, generator=torch.Generator().manual_seed(0))


def draw_everywhere():
    torch.rand(3)
    NUMPY.rand(3)
    random.random()


class Block(nn.Module):
    """Layers of several kinds; its forward changes all that it can, and may raise."""

    def __init__(self, error=None):
        super().__init__()
        self.error = error
        self.first = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.inner = nn.Sequential(nn.Linear(8, 8), nn.Dropout())
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        draw_everywhere()
        h = self.inner(self.norm(torch.relu(self.first(x))))
        self.norm.eval()
        self.last.bias.requires_grad_(requires_grad=False)
        if self.error:
            raise self.error
        return self.last(h)


def wide():
    """Return a model whose last layer does not fit the one before."""
    model = Block()
    model.last = nn.Linear(7, 3)
    return model


def frozen():
    return Block().requires_grad_(requires_grad=False)


def integer():
    """Return a model that ends in a layer of integers, which is reached after all others."""
    model = Block()
    model.last.weight = nn.Parameter(torch.ones(3, 8, dtype=torch.int8), requires_grad=False)
    return model


def expanded():
    model = Block()
    model.last.bias = nn.Parameter(torch.zeros(1).expand(3))
    return model


def lazy():
    return nn.Sequential(nn.Linear(6, 8), nn.LazyBatchNorm1d(affine=False), nn.LazyLinear(3))


def holed():
    x = X.clone()
    x[2, 3] = math.nan
    return x


def fails_(tensor):
    draw_everywhere()
    tensor.fill_(9)
    raise RuntimeError("of its own")


def backward(y):
    y.sum().backward(retain_graph=True)
    return y.sum()


class Fault(NamedTuple):
    """A fault, and the words of the error or its note by entry point."""

    words: dict[str, str]
    build: Callable[[], nn.Module] = Block
    batch: Any = X
    recipe: Any = "auto"
    loss: Any = torch.sum


PLANNED = "plan initialize_ audit"
RUN = "lsuv_ measure"
FAULTS = {
    "no parameters": Fault(
        {
            PLANNED: "model must have a parameter to initialize; got none in Sequential, ReLU",
            "lsuv_": "batch must reach Linear or convolution layers to scale; got none",
            "measure": "the batch must reach a layer; got a model without layers",
        },
        lambda: nn.Sequential(nn.ReLU()),
    ),
    "all frozen": Fault(
        {
            PLANNED: "must have a parameter to initialize; got only such as 'first.weight', which",
            "lsuv_": "to scale; got {'first': 'frozen', 'inner.0': 'frozen', 'last': 'frozen'}",
            "measure": "loss must depend on a parameter that requires gradients; got one",
        },
        frozen,
    ),
    "integer weights": Fault(
        {
            "lsuv_": "layer 'last' must have a real weight; got torch.int8",
            "measure": "raised in 'last': Linear(in_features=8",
        },
        integer,
    ),
    "integer weights under a rule": Fault(
        {
            PLANNED: "Rule('last.*', normal_) must fit 'last.weight'; got: tensor must have a "
            "floating-point dtype; got torch.int8"
        },
        integer,
        recipe=[Rule("last.*", "normal_"), "auto"],
    ),
    "integer weights under a method with fans": Fault(
        {PLANNED: "must fit 'last.weight'; got: tensor must have a floating-point dtype; got"},
        integer,
        recipe=[Rule("last.weight", "lecun_normal_"), "auto"],
    ),
    "lazy": Fault(
        {f"{PLANNED} {RUN}": "'2.weight' must have a shape; got a lazy LazyLinear: run a batch"},
        lazy,
    ),
    "a lazy buffer": Fault(
        {f"{PLANNED} {RUN}": "'1.running_mean' must have a shape; got a lazy LazyBatchNorm1d"},
        lambda: lazy()[:2],
    ),
    "meta": Fault(
        {
            "initialize_": "must hold memory: call model.to_empty(device=...) first; got '0.",
            RUN: "'0.weight' must hold values; got a meta tensor",
        },
        lambda: nn.Sequential(nn.Linear(6, 8, device="meta"), nn.Linear(8, 3)),
    ),
    "expanded": Fault(
        {"initialize_": "each value must have memory of its own; got 'last.bias', which is expan"},
        expanded,
    ),
    "a batch of the wrong shape": Fault({RUN: "raised in 'first': Linear("}, batch=X[:, :5]),
    "layers that do not fit": Fault({RUN: "raised in 'last': Linear(in_features=7"}, wide),
    "a list for a batch": Fault({RUN: "raised in 'first': Linear("}, batch=[1.0, 2.0]),
    "no batch": Fault({RUN: "layer 'first' must have outputs; got shape (0, 8)"}, batch=X[:0]),
    "NaN": Fault(
        {
            "lsuv_": "inputs must hold no NaN; got 1 in input 0",
            "measure": "inputs must be finite; got 1 NaN or inf in input 0",
        },
        batch=holed(),
    ),
    "NaN inside": Fault(
        {"lsuv_": "NaN; got 1 in input 0", "measure": "got 1 NaN or inf in input 0"},
        batch={"x": [holed()]},
    ),
    "an error in forward": Fault(
        {RUN: "raised in 'model': Block"}, lambda: Block(RuntimeError("no further"))
    ),
    "an error in a layer": Fault(
        {RUN: "raised in '0': Block"}, lambda: nn.Sequential(Block(KeyError("x")), nn.ReLU())
    ),
    "a loss of many": Fault(
        {"measure": "loss must return a scalar; got shape (16, 3)"}, loss=lambda y: y
    ),
    "a complex loss": Fault(
        {"measure": "loss must return a real number; got torch.complex64"},
        loss=lambda y: 1j * y.sum(),
    ),
    "no loss": Fault(
        {"measure": "loss must return a tensor; got NoneType"}, loss=lambda y: print(end="")
    ),
    "a loss that is none": Fault(
        {"measure": "loss must be a function of the model's output; got 3"}, loss=3
    ),
    "a detached loss": Fault(
        {"measure": "loss must depend on a parameter that requires gradients"},
        loss=lambda y: y.detach().sum(),
    ),
    "a loss that fails": Fault({"measure": "by zero"}, loss=lambda y: backward(y) / (1 // 0)),
    "a rule that matches nothing": Fault(
        {PLANNED: "each rule must match a parameter; got none for Rule('lats.*', zeros_)"},
        recipe=[Rule("lats.*", "zeros_"), "auto"],
    ),
    "a function that fails": Fault(
        {"initialize_": "raised by fails_ for 'last.bias'"},
        recipe=[Rule("last.bias", fails_), "auto"],
    ),
    "an unknown recipe": Fault({PLANNED: "recipe must be 'auto', 'torch'"}, recipe="atuo"),
    "no model": Fault(
        {f"{PLANNED} {RUN}": "model must be an nn.Module; got type"}, lambda: nn.Linear
    ),
}
ENTRIES = {
    "plan": lambda model, fault: init.plan(model, fault.recipe),
    "initialize_": lambda model, fault: init.initialize_(model, fault.recipe),
    "audit": lambda model, fault: init.audit(model, fault.recipe),
    "lsuv_": lambda model, fault: init.lsuv_(model, fault.batch),
    "measure": lambda model, fault: init.measure(model, fault.batch, loss=fault.loss),
}
PAIRS = [
    (name, entry, words)
    for name, fault in FAULTS.items()
    for entries, words in fault.words.items()
    for entry in entries.split()
]


def random_states():
    _, keys, *rest = NUMPY.get_state()
    return torch.get_rng_state().tolist(), (keys.tolist(), *rest), random.getstate()


def values(tensor):
    held = not (tensor is None or nn.parameter.is_lazy(tensor) or tensor.is_meta)
    return tensor.tolist() if held else None


def state(model):
    """Return all that a failure must leave as it is."""
    modules = dict(model.named_modules()) if isinstance(model, nn.Module) else {}
    found: dict[Any, Any] = {
        "random": random_states(),
        "modes": (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
            torch.get_default_dtype(),
            torch.backends.mha.get_fastpath_enabled(),
            len(torch.overrides._get_current_function_mode_stack()),
        ),
    }
    for name, module in modules.items():
        for key, held in vars(module).items():
            if "hooks" in key:
                found[name, key] = None if held is None else list(held.values())
        found[name, "mode"] = module.training
        for key, tensor in {**module._parameters, **module._buffers}.items():
            found[name, key] = values(tensor)
            found[name, key, "itself"] = id(tensor)
            found[name, key, "trains"] = tensor is not None and tensor.requires_grad
            gradient = tensor.grad if tensor is not None and tensor.is_leaf else None
            found[name, key, "gradient"] = id(gradient), values(gradient)
    return found


def prepared(fault):
    """Return its model, in which there is something of each kind to change."""
    torch.manual_seed(0)
    model = fault.build()
    if isinstance(model, nn.Module):
        model.register_forward_hook(lambda *_: None)
        for module in model.modules():
            module.training = not isinstance(module, nn.Dropout)
        for parameter in model.parameters():
            if parameter.requires_grad and not (
                nn.parameter.is_lazy(parameter) or parameter.is_meta
            ):
                parameter.grad = torch.ones_like(parameter)
    return model


@pytest.mark.parametrize(("name", "entry", "words"), PAIRS)
def test_an_error_says_where_and_changes_nothing(name, entry, words):
    fault = FAULTS[name]
    model = prepared(fault)
    before = state(model)
    with pytest.raises(Exception) as error:
        ENTRIES[entry](model, fault)
    said = "\n".join([str(error.value), *getattr(error.value, "__notes__", [])])
    assert words in said
    after = state(model)
    assert [key for key in before if before[key] != after.get(key)] == []
    assert before.keys() == after.keys()


@pytest.mark.parametrize("loss", [None, torch.sum, backward])
def test_measure_changes_nothing_for_any_loss(loss):
    fault = Fault({}, loss=loss)
    model = prepared(fault)
    before = state(model)
    assert len(ENTRIES["measure"](model, fault).rows) == 3
    assert state(model) == before


def test_lsuv_changes_only_weights():
    fault = Fault({})
    model = prepared(fault)
    before = state(model)
    init.lsuv_(model, X, generator=torch.Generator().manual_seed(0))
    after = state(model)
    layers = ("first", "inner.0", "last")
    assert {key for key in before if before[key] != after[key]} == {(n, "weight") for n in layers}


def pretrained():
    """Return a model with a frozen part and a quantized part."""
    model = integer()
    for part in (model.first, model.norm):
        part.requires_grad_(requires_grad=False)
    model.norm.running_mean.fill_(3.0)
    return model


LEFT = """\
parameter       shape  layer   fan_in  before  law               std
inner.0.weight  8 × 8  Linear       8  linear  lecun_normal_  0.3536
biases, norms and their statistics: 2 × zeros_
frozen, left unchanged: first.weight, first.bias, norm.weight, norm.bias
torch.int8, left unchanged: last.weight"""


@pytest.mark.parametrize("recipe", ["auto", "torch", ["xavier", "keep"]])
def test_a_recipe_leaves_frozen_and_quantized_parameters(recipe):
    model = pretrained()
    before, versions = state(model), [p._version for p in (model.first.weight, model.last.weight)]
    done = init.initialize_(model, recipe, seed=0)
    after = state(model)
    changed = {key for key in before if before[key] != after[key]}
    assert changed == {("inner.0", "weight"), ("inner.0", "bias"), ("last", "bias")}
    # Nor is it copied and written back, which costs its memory.
    assert [p._version for p in (model.first.weight, model.last.weight)] == versions
    assert init.audit(model, recipe).findings == []
    if recipe == "auto":
        assert str(done) == LEFT
    assert {row["note"] for row in done.rows if row["law"] == "keep_"} == {
        "frozen, left unchanged",
        "torch.int8, left unchanged",
    }


def test_a_rule_of_the_caller_applies_to_frozen_parameters():
    model = pretrained()
    rules = [Rule("first.weight", "zeros_"), Rule("last.weight", "constant_", val=2), "auto"]
    init.initialize_(model, rules, seed=0)
    assert not model.first.weight.any()
    assert model.last.weight.tolist() == [[2] * 8] * 3
    assert model.norm.running_mean.tolist() == [3.0] * 8


CHANGES = {
    "weight norm": (nn.utils.weight_norm, "before you add WeightNorm, .* from '0.weight_g'"),
    "pruning": (
        lambda layer: prune.l1_unstructured(layer, "weight", 0.3),
        "before you add L1Unstructured, .* from '0.weight_orig'",
    ),
    "pruning twice": (
        lambda layer: prune.random_unstructured(prune.identity(layer, "weight"), "weight", 0.2),
        "before you add PruningContainer, .* from '0.weight_orig'",
    ),
    "a script": (torch.jit.script, "before you script it"),
}


@pytest.mark.filterwarnings("ignore:.*is deprecated")
@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("layer", [nn.Linear(256, 300), nn.Conv2d(32, 300, 3)])
def test_a_layer_that_was_changed_before_says_what_to_do(change, message, layer):
    model = nn.Sequential(change(copy.deepcopy(layer)), nn.ReLU())
    with pytest.raises(ValueError, match=f"initialize the model {message}"):
        init.plan(model)


def test_a_frozen_parameter_or_a_buffer_on_the_meta_device_must_have_a_rule():
    with torch.device("meta"):
        model = Block()
        model.register_buffer("steps", torch.zeros(3))
    model.first.requires_grad_(requires_grad=False)
    unruled = r"got none for steps, first\.weight, first\.bias: put .* or 'keep' after it"
    with pytest.raises(ValueError, match=unruled):
        init.plan(model)
    # What it advises works.
    rows = {row["parameter"]: row["law"] for row in init.plan(model, ["auto", "keep"]).rows}
    kept = {name for name, law in rows.items() if law == "keep_"}
    assert kept == {"first.weight", "first.bias", "steps"}


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.float8_e4m3fn])
def test_quantized_weights_are_measured(dtype):
    class Quantized(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.eye(6).to(dtype), requires_grad=False)

        def forward(self, x):
            return x @ self.weight.float().T

    model = nn.Sequential(Quantized(), nn.Linear(6, 3))
    rows = init.measure(model, X, loss=torch.sum).rows
    assert rows[0]["weight_rms"] == pytest.approx(6**-0.5)
    assert init.audit(model).rows[0]["found"] == pytest.approx(5**0.5 / 6)


def test_a_custom_function_is_seeded_for_every_source_of_randomness():
    def fill_(tensor):
        numbers = [torch.rand(()).item(), NUMPY.rand(), random.random()]
        tensor.copy_(torch.tensor(numbers))

    model, drawn = nn.Linear(2, 3), []
    before = random_states()
    for seed in (0, 0, 1):
        init.initialize_(model, [Rule("bias", fill_), "auto"], seed=seed)
        drawn.append(model.bias.tolist())
    assert drawn[0] == drawn[1]
    assert all(a != b for a, b in zip(drawn[0], drawn[2], strict=True))
    assert random_states() == before


def noisy(z):
    draw_everywhere()
    return torch.tanh(z)


def failing(z):
    draw_everywhere()
    raise RuntimeError("of its own")


@pytest.mark.parametrize("function", [init.gain, init.critical, lambda f: init.propagate(f, 1.0)])
def test_an_activation_leaves_the_random_states(function):
    before = random_states()
    function(noisy)
    assert random_states() == before
    with pytest.raises(ValueError, match="which raised RuntimeError: of its own"):
        function(failing)
    assert random_states() == before
