"""`measure_training` on other people's models: sound training, and a rate that is wrong by far."""

import pytest
import torch
from corpus.timm_alone import timm
from torch.nn import functional as F
from transformers import GPT2Config, GPT2LMHeadModel

import initguide as init

VOCABULARY = 500


def texts(seed):
    """Yield tokens as rare as words are, with half of them given by the token before."""
    source = torch.Generator().manual_seed(seed)
    shares = 1 / torch.arange(1, VOCABULARY + 1)
    while True:
        ids = torch.multinomial(shares, 4 * 32, replacement=True, generator=source).view(4, 32)
        ids[:, 1::2] = (7 * ids[:, ::2] + 3) % VOCABULARY
        yield {"input_ids": ids, "labels": ids}


def images(seed):
    """Yield images whose brightness tells their class."""
    source = torch.Generator().manual_seed(seed)
    while True:
        y = torch.randint(10, (8,), generator=source)
        yield torch.randn(8, 3, 48, 48, generator=source) + (y.view(-1, 1, 1, 1) - 4.5) / 4, y


def gpt2():
    sizes = {"n_embd": 256, "n_layer": 2, "n_head": 4, "n_positions": 32}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, **sizes, **ends))


def resnet():
    return timm.create_model("resnet18", num_classes=10)


CASES = {
    "GPT-2": (gpt2, texts, None, torch.optim.AdamW, 3e-4),
    "ResNet, SGD": (resnet, images, F.cross_entropy, torch.optim.SGD, 0.05),
    "ResNet, Adam": (resnet, images, F.cross_entropy, torch.optim.AdamW, 1e-3),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("factor", "kind"), [(1, None), (100, "too large"), (1e-4, "too small")])
def test_rates(name, factor, kind):
    make, batches, loss, optimizer, lr = CASES[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().train()
        report = init.measure_training(
            model, batches(0), optimizer(model.parameters(), lr=lr * factor), loss, steps=5
        )
    if kind is None:
        report.assert_ok()
        assert report.rows[-1]["loss"] < report.rows[0]["loss"]
    else:
        assert report.findings[0].kind == f"updates {kind}"
    if kind == "too small":
        # Only the layers whose gradients are largest may move.
        assert "more)" in report.findings[0].message
