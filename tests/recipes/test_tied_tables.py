"""The std of a table whose weight is the head's too, by how its vectors enter the stream."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init


class ScaledTable(nn.Embedding):
    """A table with a factor in its own forward."""

    def forward(self, input):
        return super().forward(input) * self.embedding_dim**0.5


class Decoder(nn.Module):
    """Token by token: a table, blocks that start with a norm, a last norm, and a tied head."""

    def __init__(self, start, words, width, by_function=False, depth=2):
        super().__init__()
        self.start, self.scale, self.by_function = start, width**0.5, by_function
        self.tok = (ScaledTable if start == "own forward" else nn.Embedding)(words, width)
        self.first = nn.LayerNorm(width) if start == "norm" else nn.Identity()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.ups = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(depth))
        self.downs = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(depth))
        self.last = nn.LayerNorm(width)
        if not by_function:
            self.head = nn.Linear(width, words, bias=False)
            self.head.weight = self.tok.weight

    def forward(self, ids):
        x = self.first(self.tok(ids))
        if self.start == "factor":
            x = x * self.scale
        elif self.start == "quotient":
            x = x / (1 / self.scale)
        for norm, up, down in zip(self.norms, self.ups, self.downs, strict=True):
            x = x + down(F.gelu(up(norm(x))))
        x = self.last(x)
        return F.linear(x, self.tok.weight) if self.by_function else self.head(x)


SIZES = [(1000, 256), (300, 512)]


@pytest.mark.parametrize("by_function", [False, True])
@pytest.mark.parametrize(("words", "width"), SIZES)
@pytest.mark.parametrize("start", ["factor", "quotient", "norm", "own forward"])
def test_a_head_that_reads_tokens_back_starts_near_a_uniform_guess(
    start, words, width, by_function
):
    model = Decoder(start, words, width, by_function)
    made = init.initialize_(model, seed=0)
    (entry,) = [e for e in made.entries if e.param.name == "tok.weight"]
    assert entry.sampler.std == pytest.approx((math.log(words) - 1) / width)
    assert "reads it back" in entry.note
    ids = torch.arange(words)
    with torch.no_grad():
        logits = model(ids[None])[0]
    # The token's own logit is at most ln V - 1 plus the chance part, of size d^(1/2) std < 0.6. It
    # then adds at most ln(1 + 1/e) = 0.31 to the first loss, and the other logits 0.5.
    assert F.cross_entropy(logits, ids.roll(1)).item() < math.log(words) + 1


@pytest.mark.parametrize("by_function", [False, True])
@pytest.mark.parametrize(("words", "width"), SIZES)
def test_a_table_that_enters_the_stream_as_it_is_keeps_logits_of_unit_size(
    words, width, by_function
):
    model = Decoder("plain", words, width, by_function)
    stds = {row["parameter"]: row["std"] for row in init.plan(model).rows}
    assert stds["tok.weight"] == pytest.approx(width**-0.5)


def test_a_table_without_a_tied_head_is_not_read_back():
    model = Decoder("norm", 1000, 256)
    model.head.weight = nn.Parameter(torch.randn(1000, 256) / 16)
    notes = {row["parameter"]: row["note"] for row in init.plan(model).rows}
    assert "reads it back" not in (notes["tok.weight"] or "")
