"""The playground trains as torch does, on the package's digits."""

import itertools
import json

import numpy as np
import playground
import pytest
import torch
from playground_modules import SETTINGS, ask, model_of, same
from torch import nn
from torch.nn import functional as F

from initguide import experiments


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Return what a call needs to read the digits: the file that the build writes, and numbers."""
    files = playground.generated()
    path = tmp_path_factory.mktemp("digits") / "digits.bin"
    path.write_bytes(files["digits.bin"])
    line = next(line for line in files["constants.js"].splitlines() if "DIGITS" in line)
    return {"path": str(path), "constants": json.loads(line.partition(" = ")[2].rstrip(";"))}


def test_the_digits_are_the_package_s(digits):
    answer, data = ask(["digits", digits])[0], experiments.digits()
    x = np.reshape(answer["x"], (-1, 64))
    assert (answer["count"], answer["training"]) == (1797, 1400)
    # The package's are in single precision.
    same(x, torch.cat([data.x_train, data.x_test]), rtol=1e-6, atol=1e-6)
    assert answer["y"] == torch.cat([data.y_train, data.y_test]).tolist()


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("name", ["he", "torch", "orthogonal"])
def test_training_takes_torch_s_steps(digits, residual, layer_norm, name):
    """Losses, every parameter and the accuracy after three steps of gradient descent."""
    settings = SETTINGS | {"residual": residual, "layerNorm": layer_norm, "init": name}
    settings |= {"activation": "tanh", "depth": 4}
    rng, rate = np.random.default_rng(0), 0.3
    batches = [rng.choice(1400, 24, replace=False).tolist() for _ in range(3)]
    call = digits | {"settings": settings, "batches": batches, "rate": rate}
    answer = ask(["train", call])[0]

    model = model_of(settings | {"width": 16})
    first = model[0]
    model[0] = nn.Linear(64, 16)
    model.append(nn.Linear(16, 10))
    model.double()
    assert isinstance(first, nn.Linear)
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    norms = [m for m in model.modules() if isinstance(m, nn.LayerNorm)]
    with torch.no_grad():
        for linear, layer in zip(linears, answer["before"], strict=True):
            _put(linear, layer)
    data = experiments.digits()
    x = torch.tensor(np.reshape(ask(["digits", digits])[0]["x"], (-1, 64)))
    y = torch.cat([data.y_train, data.y_test])
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=rate), []
    for indices in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[indices]), y[indices])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    same(answer["losses"], losses)
    for linear, layer in zip(linears, answer["after"], strict=True):
        wanted = nn.Linear(linear.in_features, linear.out_features).double()
        _put(wanted, layer)
        same(wanted.weight.detach(), linear.weight.detach(), rtol=1e-8, atol=1e-10)
        same(wanted.bias.detach(), linear.bias.detach(), rtol=1e-8, atol=1e-10)
    for norm, layer in zip(norms, answer["after"], strict=False):
        same(layer["gamma"], norm.weight.detach(), rtol=1e-8)
        same(layer["beta"], norm.bias.detach(), rtol=1e-8, atol=1e-10)
    right = (model(x[1400:]).argmax(1) == y[1400:]).double().mean().item()
    same(answer["accuracy"], right)


@torch.no_grad()
def _put(linear, layer):
    """Copy a layer's values; what only fills a head's columns up must be zero."""
    fan_out, fan_in = linear.weight.shape
    weight = torch.tensor(layer["weight"], dtype=torch.float64).reshape(fan_in, -1)
    assert not weight[:, fan_out:].any()
    linear.weight.copy_(weight[:, :fan_out].T)
    linear.bias.copy_(torch.tensor(layer["bias"], dtype=torch.float64)[:fan_out])


def test_a_course_of_training_learns_or_does_not(digits):
    options = {"rate": 0.1, "steps": 60}
    settings = SETTINGS | {"depth": 4, "width": 32}
    calls = [
        ["course", digits | {"settings": settings | {"init": name}, "options": options}]
        for name in ("he", "small", "large")
    ]
    he, small, large = ask(*calls)
    assert [point["step"] for point in he] == [*range(61)]
    assert he[-1]["accuracy"] > 0.8
    assert small[-1]["accuracy"] < 0.3
    # A run that diverges says so and stops.
    assert large[-1]["loss"] in ("NaN", "Infinity") or large[-1]["loss"] > 1


def test_what_the_page_says_of_training(digits):
    """At the learning rate that the page starts with: guessing gives 0.1."""
    ends = {}
    for name, depth in itertools.product(("he", "xavier"), (20, 50)):
        settings = SETTINGS | {"init": name, "depth": depth, "width": 64}
        options = {"rate": 0.01, "steps": 300, "every": 300}
        calls = [
            ["course", digits | {"settings": settings | {"seed": seed}, "options": options}]
            for seed in (0, 1)
        ]
        ends[name, depth] = [points[-1]["accuracy"] for points in ask(*calls)]
    assert max(ends["xavier", 20] + ends["xavier", 50]) < 0.2
    assert min(ends["he", 20]) > 0.6
    assert max(ends["he", 50]) < 0.6
