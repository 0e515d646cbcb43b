"""LSUV changes only the weights that it scales."""

import copy
import itertools
import subprocess
import sys

import pytest
import torch
from lsuv_networks import BATCH, CASES, generator, mlp, state, with_biases
from torch import nn

import initguide as init


def test_state_other_than_weights_is_restored():
    model, x = copy.deepcopy(CASES["cnn"][0]), CASES["cnn"][1]
    model.eval()
    model[1].train()
    model[4].train()
    before = state(model)
    torch.manual_seed(3)
    random = torch.get_rng_state()
    init.lsuv_(model, x, orthonormal=False)
    init.lsuv_(model, x, generator=generator())
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.backends.mha.get_fastpath_enabled()
    assert [m.training for m in model] == [i in (1, 4) for i in range(len(model))]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    for name, value in model.state_dict().items():
        if "running" in name or "num_batches" in name or "bias" in name or name.startswith("1."):
            assert torch.equal(value, before[name]), name
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_the_generator_decides_and_without_one_the_global_state_changes():
    x = torch.randn(64, 20, generator=generator(1))
    models = [mlp() for _ in range(7)]
    for layers in zip(*(model[::2] for model in models), strict=True):
        for layer in layers:
            layer.bias = layers[0].bias
    for model, seed in zip(models[:3], (0, 0, 1), strict=True):
        init.lsuv_(model, x, generator=generator(seed))
    torch.manual_seed(0)
    for model in models[3:5]:
        init.lsuv_(model, x)
    for model in models[5:]:
        init.lsuv_(model, x, generator=torch.default_generator)
    first = [model[0].weight for model in models]
    assert torch.equal(first[0], first[1])
    assert not torch.allclose(first[0], first[2])
    for one, other in itertools.combinations(first[3:], 2):
        assert not torch.allclose(one, other)


def test_tied_weights_are_scaled_once():
    model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8))
    model[2].weight = model[0].weight
    bias = with_biases(model, 0.5)[2].bias.clone()
    report = init.lsuv_(model, torch.randn(64, 8, generator=generator(1)))
    assert [row["note"] for row in report.rows] == ["", "shares the weight of 0"]
    assert torch.equal(model[2].bias, bias)


def tied_head():
    model = nn.Sequential(nn.Embedding(10, 8), nn.Linear(8, 8), nn.Linear(8, 10))
    model[2].weight = model[0].weight
    return model, torch.arange(10), 2, "shares the weight of 0"


def frozen(layer):
    model = nn.Sequential(nn.Linear(8, 8), layer)
    layer.requires_grad_(False)
    return model, torch.randn(64, 8, generator=generator(1)), 1, "frozen"


NOT_SCALED = {
    "tied to an embedding": tied_head(),
    "frozen": frozen(nn.Linear(8, 8)),
    "frozen parametrized": frozen(nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))),
}


@pytest.mark.parametrize("name", NOT_SCALED)
def test_frozen_and_tied_weights_stay(name):
    model, x, index, note = copy.deepcopy(NOT_SCALED[name])
    before = state(model[index])
    report = init.lsuv_(model, x, generator=generator())
    rows = {row["layer"]: row for row in report.rows}
    assert (rows[str(index)]["note"], rows[str(index)]["scale"]) == (note, None)
    assert rows["1" if index == 2 else "0"]["scale"]
    for key, value in model[index].state_dict().items():
        assert torch.equal(value, before[key]), key


class Stateful(nn.Module):
    """Writes to a buffer, replaces another, and holds one that cannot be written to."""

    def __init__(self):
        super().__init__()
        self.register_buffer("written", torch.zeros(3))
        self.register_buffer("replaced", torch.zeros(3))
        self.register_buffer("expanded", torch.ones(1).expand(3))

    def forward(self, x):
        self.written += 1
        self.replaced = self.replaced + 1
        return x


@pytest.mark.parametrize("fails", [True, False])
def test_buffers_are_put_back(fails):
    model = nn.Sequential(nn.Linear(20, 8), Stateful(), nn.Linear(8, 8))
    buffers = dict(model.named_buffers())
    if fails:
        model[2].bias.data.fill_(torch.nan)
        with pytest.raises(ValueError, match="layer '2'"):
            init.lsuv_(model, BATCH)
    else:
        init.lsuv_(model, BATCH)
    assert all(value is buffers[key] for key, value in model.named_buffers())
    assert [value.sum() for value in buffers.values()] == [0, 0, 3]


class Picky(nn.Linear):
    def forward(self, x):
        raise RuntimeError("not this time")


class Forgiving(nn.Module):
    """Tries a layer that fails, and goes on without it."""

    def __init__(self):
        super().__init__()
        self.picky, self.other = Picky(20, 5), nn.Linear(20, 5)

    def forward(self, x):
        for layer in (self.picky, self.picky, self.other):
            try:
                y = layer(x)
            except RuntimeError:
                y = None
        return y


def test_a_bias_is_restored_after_an_error_that_the_model_catches():
    model = with_biases(Forgiving(), 0.5)
    bias = model.picky.bias.clone()
    report = init.lsuv_(model, BATCH, generator=generator())
    assert [(row["layer"], row["note"]) for row in report.rows] == [
        ("other", ""),
        ("picky", "not reached"),
    ]
    assert torch.equal(model.picky.bias, bias)


def test_one_process_does_not_import_torch_distributed():
    code = """
import sys, torch
from torch import nn
before = set(sys.modules)
import initguide as init
init.lsuv_(nn.Sequential(nn.Linear(4, 4), nn.GELU()), torch.eye(4), measure_at="post")
print(sorted(n for n in set(sys.modules) - before if n.startswith("torch.distributed")))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
