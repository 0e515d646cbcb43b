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
# A language model with the depth of GPT-2 medium, and a batch for it.
DEEP = GPT2Config(
    n_layer=24,
    n_embd=256,
    n_head=4,
    vocab_size=1000,
    n_positions=64,
    bos_token_id=None,
    eos_token_id=None,
)
IDS = torch.randint(DEEP.vocab_size, (8, 64), generator=torch.Generator().manual_seed(0))


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
    yield from deep()
    yield Case(
        "`initialize_` GPT-2 small, from meta",
        _from_meta,
        "its constructor",
        partial(GPT2LMHeadModel, GPT2Config()),
        Limit("drawing into new memory", _drawing()),
    )


def deep() -> Iterator[Case]:
    """Yield the tools on a model of 24 blocks, with the time of its own passes."""
    model, other = GPT2LMHeadModel(DEEP), GPT2LMHeadModel(DEEP)
    passes = Limit("forward and backward", partial(_passes, model, IDS))
    constructor = ("its constructor", partial(GPT2LMHeadModel, DEEP))
    name = "GPT-2, 24 layers of 256"
    yield Case(f"`plan` {name}", partial(init.plan, model), *constructor, passes)
    yield Case(
        f"`initialize_` {name}", partial(init.initialize_, other, seed=0), *constructor, passes
    )
    yield Case(
        f"`measure` {name}",
        partial(init.measure, model, IDS, loss=_loss),
        "hooks with `.item()`",
        partial(_hooks, model, IDS),
        passes,
    )


def _loss(output: Any) -> Tensor:
    return getattr(output, "logits", output).square().mean()


@torch.no_grad()
def _forward(model: nn.Module) -> None:
    model(BATCH)


def _passes(model: nn.Module, batch: Tensor = BATCH) -> None:
    _loss(model(batch)).backward()
    model.zero_grad()


def _hooks(model: nn.Module, batch: Tensor = BATCH) -> None:
    """Read the statistics of each output and gradient in hooks, as tutorials do."""
    found: list[Any] = []

    def forward(module: nn.Module, inputs: Any, output: Tensor) -> None:
        zeros = (output == 0).float().mean().item()
        found.append((output.mean().item(), output.std().item(), zeros))

    def backward(module: nn.Module, inputs: Any, outputs: Any) -> None:
        found.append(outputs[0].square().mean().sqrt().item())

    handles = [
        handle
        for module in model.modules()
        if not ([*module.children()] or isinstance(module, nn.Embedding))
        for handle in (
            module.register_forward_hook(forward),
            module.register_full_backward_hook(backward),
        )
    ]
    _passes(model, batch)
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
