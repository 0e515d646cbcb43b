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


class Own(nn.Module):
    """A table of the model's own, that a function looks up and a product reads back."""

    def __init__(self, look_up, start, product, words=1000, width=256):
        super().__init__()
        self.table = nn.Parameter(torch.randn(words, width))
        self.places = nn.Parameter(torch.randn(16, width))
        self.norm, self.body = nn.LayerNorm(width), nn.Linear(width, width)
        self.last = nn.LayerNorm(width)
        self.look_up, self.start, self.product = look_up, start, product

    def forward(self, ids):
        x = self.start(self.look_up(self.table, ids)) + self.places[: ids.shape[1]]
        x = x + self.body(torch.tanh(self.norm(x)))
        return self.product(self.last(x), self.table)


LOOKUPS = {
    "embedding": lambda table, ids: F.embedding(ids, table),
    "rows": lambda table, ids: table[ids],
    "index_select": lambda table, ids: table.index_select(0, ids.flatten()).view(*ids.shape, -1),
}
READS = {
    "linear": F.linear,
    "a product": lambda x, table: x @ table.T,
    "einsum": lambda x, table: torch.einsum("bld,vd->blv", x, table),
    "inner": torch.inner,
    "tensordot": lambda x, table: torch.tensordot(x, table, dims=([2], [1])),
}


@pytest.mark.parametrize("look_up", LOOKUPS.values(), ids=LOOKUPS)
@pytest.mark.parametrize("product", READS.values(), ids=READS)
@pytest.mark.parametrize("is_full", [False, True])
def test_a_table_of_the_models_own_is_tied_as_a_module_is(look_up, product, is_full):
    model = Own(look_up, (lambda x: 16 * x) if is_full else (lambda x: x), product)
    made = init.initialize_(model, seed=0)
    (row,) = [row for row in made.rows if row["parameter"] == "table"]
    assert row["std"] == pytest.approx((math.log(1000) - 1) / 256 if is_full else 1 / 16)
    ids = torch.randint(1000, (8, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        loss = F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() < math.log(1000) + 1


@pytest.mark.parametrize("product", [READS["inner"], READS["tensordot"]])
def test_a_table_that_a_rare_product_reads_is_a_head(product):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.norm = nn.Embedding(300, 64), nn.LayerNorm(64)

        def forward(self, ids):
            return product(self.norm(self.table(ids)), self.table.weight)

    (row, *_) = init.plan(Tied()).rows
    assert row["std"] <= 1 / 8


@pytest.mark.parametrize("shape", [(256,), (4, 16, 256)])
def test_a_looked_up_parameter_that_is_no_matrix_is_no_tied_table(shape):
    class Looked(Own):
        def __init__(self):
            super().__init__(lambda table, ids: table[ids], lambda x: 16 * x, torch.matmul)
            self.table = nn.Parameter(torch.randn(shape))

        def forward(self, ids):
            x = self.start(self.table[0]) + self.places
            x = x + self.body(torch.tanh(self.norm(x)))
            return self.last(x) @ (self.table if self.table.ndim == 1 else self.table[1].T)

    model = Looked()
    assert model(None).isfinite().all()
    made = init.initialize_(model, seed=0)
    (row,) = [row for row in made.rows if row["parameter"] == "table"]
    assert "reads it back" not in row["note"]
    for parameter in model.parameters():
        assert parameter.isfinite().all()


class AfterNorm(nn.Module):
    """Blocks whose sums are normed, as in the first GPT: the stream starts with a plain vector."""

    def __init__(self, mlp, words=1000, width=256, depth=3):
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.mix = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.mlp = nn.ModuleList(mlp(width) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * depth))

    def forward(self, ids):
        x = self.words(ids)
        for i, (mix, mlp) in enumerate(zip(self.mix, self.mlp, strict=True)):
            x = self.norms[2 * i](x + mix(x).cumsum(1) / 4)
            x = self.norms[2 * i + 1](x + mlp(x))
        return x @ self.words.weight.T


def narrow(width):
    return nn.Linear(width, width)


def wide(width):
    return nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


@pytest.mark.parametrize("mlp", [narrow, wide])
def test_a_head_after_normed_sums_reads_tokens_back(mlp):
    model = AfterNorm(mlp)
    planned = init.initialize_(model, seed=0)
    row = next(row for row in planned.rows if row["parameter"] == "words.weight")
    assert row["note"].startswith("the head reads it back")
    ids = torch.randint(0, 1000, (4, 16), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = model(ids)
    excess = (logits.logsumexp(-1) - logits.mean(-1)).mean().item() - math.log(1000)
    assert 0 < excess < 0.5
