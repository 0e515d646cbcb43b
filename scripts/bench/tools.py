"""The tools for whole models: their time, a peer's time and the time of the model's own passes."""

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import lsuv
import torch
from models import cnn, residual
from table import Case, Limit
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel

import initguide as init

BATCH = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def tools() -> Iterator[Case]:
    """Yield LSUV and `measure` with the model's own passes, and the making of a large model."""
    networks = {
        "CNN, 30 layers": cnn(),
        "residual, 25 layers": residual(),
        "residual, 25 layers, BatchNorm": residual(nn.BatchNorm2d),
    }
    for name, model in networks.items():
        yield Case(
            f"`lsuv_` {name}",
            partial(init.lsuv_, model, BATCH),
            "lsuv",
            partial(lsuv.lsuv_with_singlebatch, copy.deepcopy(model), BATCH, verbose=False),
            Limit("a forward pass", partial(_forward, model)),
        )
    model = cnn()
    yield Case(
        "`measure` CNN, 30 layers",
        partial(init.measure, model, BATCH, loss=_loss),
        "hooks with `.item()`",
        partial(_hooks, model),
        Limit("forward and backward", partial(_passes, model)),
    )
    yield Case(
        "`initialize_` GPT-2 small, from meta",
        _from_meta,
        "its constructor",
        partial(GPT2LMHeadModel, GPT2Config()),
        Limit("drawing into new memory", _drawing()),
    )


def _loss(output: Tensor) -> Tensor:
    return output.square().mean()


@torch.no_grad()
def _forward(model: nn.Module) -> None:
    model(BATCH)


def _passes(model: nn.Module) -> None:
    _loss(model(BATCH)).backward()
    model.zero_grad()


def _hooks(model: nn.Sequential) -> None:
    """Read the statistics of each output and gradient in hooks, as tutorials do."""
    found: list[Any] = []

    def forward(module: nn.Module, inputs: Any, output: Tensor) -> None:
        zeros = (output == 0).float().mean().item()
        found.append((output.mean().item(), output.std().item(), zeros))

    def backward(module: nn.Module, inputs: Any, outputs: Any) -> None:
        found.append(outputs[0].square().mean().sqrt().item())

    handles = [
        handle
        for module in model
        for handle in (
            module.register_forward_hook(forward),
            module.register_full_backward_hook(backward),
        )
    ]
    _passes(model)
    for handle in handles:
        handle.remove()


def _from_meta() -> nn.Module:
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config())
    model.to_empty(device="cpu")
    model.tie_weights()
    init.initialize_(model, "gpt2", seed=0)
    return model


def _drawing() -> Callable[[], None]:
    """Return a function that draws as many normals as the model has weights, into new memory."""
    with torch.device("meta"):
        shapes = [parameter.shape for parameter in GPT2LMHeadModel(GPT2Config()).parameters()]

    def draw() -> None:
        kept = [torch.empty(shape).normal_() for shape in shapes]
        del kept

    return draw
