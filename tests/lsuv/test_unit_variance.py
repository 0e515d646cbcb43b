"""After LSUV every layer's output has unit variance, as after the paper's loop."""

import copy

import pytest
import torch
from lsuv_networks import BATCH, CASES, generator, mlp, output_stds, with_biases
from torch import nn

import initguide as init


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("orthonormal", [True, False])
def test_every_layer_has_unit_variance(name, orthonormal):
    model, x = copy.deepcopy(CASES[name][0]), CASES[name][1]
    torch.manual_seed(7)
    report = init.lsuv_(model, x, orthonormal=orthonormal, generator=generator(0))
    # A wrapper puts a prefix before the names.
    stds = {name.removeprefix("module."): std for name, std in output_stds(model, x).items()}
    assert stds
    assert max(abs(std - 1) for std in stds.values()) < 1e-4
    for row in report.rows:
        if row["scale"] is not None:
            assert row["std_after"] == pytest.approx(stds[row["layer"]], abs=1e-4)
        else:
            assert row["note"]
    assert len(str(report).splitlines()) == 1 + len(report.rows)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [True, False])
def test_half_precision(dtype, autocast):
    """Within the default tolerance, although scale and sums do not fit in half precision."""
    model, x = with_biases(mlp(4), 0.5), torch.randn(256, 20, generator=generator(1))
    if not autocast:
        model, x = model.to(dtype), x.to(dtype)
    with torch.autocast("cpu", dtype, enabled=autocast):
        init.lsuv_(model, x, generator=generator())
        stds = output_stds(model, x)
    assert max(abs(std - 1) for std in stds.values()) < 2e-3
    assert {p.dtype for p in model.parameters()} == {torch.float32 if autocast else dtype}


class Cached(nn.Module):
    """Opens autocast anew, with a cache; calls a layer again after its weight has changed."""

    def __init__(self):
        super().__init__()
        self.again, self.last = nn.Linear(16, 16), nn.Linear(16, 4)

    @torch.autocast("cpu", torch.bfloat16)
    def forward(self, x):
        return self.last(self.again(self.again(x)))


def test_autocast_sees_the_scaled_weights():
    model, x = with_biases(Cached(), 0.5), torch.randn(256, 16, generator=generator(1))
    init.lsuv_(model, x, orthonormal=False)
    stds = output_stds(model, x)
    assert max(abs(std - 1) for std in stds.values()) < 5e-3


def test_autocast_sees_the_zeroed_bias():
    """A frozen layer runs first and leaves a cast of the bias that both share."""
    model = with_biases(nn.Sequential(nn.Linear(16, 16), nn.Linear(16, 16)), 0.8)
    model[0].weight.requires_grad_(False)
    model[1].bias = model[0].bias
    x = torch.randn(256, 16, generator=generator(1))
    with torch.autocast("cpu", torch.bfloat16):
        init.lsuv_(model, x, generator=generator())
        stds = output_stds(model, x)
    assert stds["1"] == pytest.approx(1, abs=5e-3)


def test_a_large_mean_in_half_precision_is_no_constant():
    model = nn.Linear(20, 1, bias=False, dtype=torch.bfloat16)
    init.constant_(model.weight, 0.1)
    x = (torch.randn(256, 20, generator=generator(1)) + 5).bfloat16()
    init.lsuv_(model, x, orthonormal=False, tol=0.02)
    assert output_stds(model, x)["model"] == pytest.approx(1, abs=0.02)


def test_the_report_tells_the_std_before():
    model = with_biases(mlp(1), 0.8)
    before = output_stds(model, BATCH)["0"]
    report = init.lsuv_(model, BATCH, orthonormal=False)
    assert report.rows[0]["std_before"] == pytest.approx(before, abs=1e-5)


def test_a_layers_memory_format_stays():
    model, x = copy.deepcopy(CASES["channels last"][0]), CASES["channels last"][1]
    init.lsuv_(model, x, generator=generator())
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_one_pass_is_the_papers_loop():
    """Forward, divide by the std, forward again: layer by layer, in float64, without biases."""
    x = torch.randn(64, 20, generator=generator(1), dtype=torch.float64)
    ours = mlp().double()
    for layer in ours[::2]:
        init.orthogonal_(layer.weight, generator=generator(2))
        init.zeros_(layer.bias)
    theirs = copy.deepcopy(ours)
    init.lsuv_(ours, x, orthonormal=False)
    with torch.no_grad():
        for index in range(0, len(theirs), 2):
            for _ in range(10):
                theirs[index].weight /= theirs[: index + 1](x).std(correction=0)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_the_start_is_orthonormal_up_to_the_scale():
    model, x = mlp(), torch.randn(64, 20, generator=generator(1))
    init.lsuv_(model, x, generator=generator())
    gram = model[2].weight @ model[2].weight.T
    torch.testing.assert_close(gram, gram[0, 0] * torch.eye(30), atol=1e-5, rtol=0)


def test_a_shared_bias_counts_in_both_layers():
    model = with_biases(nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 8)), 0.5)
    model[2].bias = model[0].bias
    bias, x = model[0].bias.clone(), torch.randn(64, 8, generator=generator(1))
    init.lsuv_(model, x, generator=generator())
    assert torch.equal(model[0].bias, bias)
    assert list(output_stds(model, x).values()) == pytest.approx([1, 1], abs=1e-4)


def test_other_hooks_see_the_scaled_output():
    model, seen = nn.Linear(20, 30), []
    model.register_forward_hook(lambda _module, _inputs, y: seen.append(y.std(correction=0)))
    init.lsuv_(model, 100 * BATCH)
    assert seen[0].item() == pytest.approx(1, abs=1e-4)


class Options(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(20, 5)

    def forward(self, batch, mask, missing=None):
        return (self.layer(batch["x"]) + mask).softmax(-1)


def test_inputs_may_be_anything():
    mask = torch.tensor([0, 0, 0, 0, -torch.inf])
    report = init.lsuv_(Options(), {"x": BATCH}, mask, None, generator=generator())
    assert report.rows[0]["std_after"] == pytest.approx(1, abs=1e-4)
