"""The coordinate check: it tells muP from the standard parametrization, and names three faults."""

import math
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import initguide as init

BASE, HEADS = 64, 4


class Block(nn.Module):
    def __init__(self, d, scale, by_name=False):
        super().__init__()
        self.scale, self.by_name = scale, by_name
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.up, self.down = nn.Linear(d, 2 * d, bias=False), nn.Linear(2 * d, d, bias=False)

    def forward(self, x):
        batch, length, d = x.shape
        y = self.n1(x)
        q, k, v = (
            layer(y).view(batch, length, HEADS, -1).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        options = {"query": q, "key": k, "value": v} if self.by_name else {}
        given = () if self.by_name else (q, k, v)
        y = F.scaled_dot_product_attention(*given, **options, is_causal=True, scale=self.scale)
        x = x + self.o(y.transpose(1, 2).reshape(batch, length, d))
        return x + self.down(torch.relu(self.up(self.n2(x))))


class Decoder(nn.Module):
    """A Transformer in muP (Yang et al., 2021, table 8), or with one part as it is usually done."""

    def __init__(self, d, depth=2, *, scores="1/d", head=True, std=True, by_name=False):
        super().__init__()
        m = d / BASE
        size = d / HEADS
        # At the base width the first two are the same.
        scales = {"1/d": (BASE / HEADS) ** 0.5 / size, "1/sqrt(d)": size**-0.5, "none": 0.1}
        self.embedding, self.factor = nn.Embedding(50, d), 1 / m if head else 1.0
        self.blocks = nn.ModuleList(Block(d, scales[scores], by_name) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, 50, bias=False)
        for block in self.blocks:
            for layer in block.modules():
                if isinstance(layer, nn.Linear):
                    width = layer.in_features if std else layer.in_features / m
                    nn.init.normal_(layer.weight, std=width**-0.5)
        nn.init.normal_(self.head.weight, std=BASE**-0.5 if head else d**-0.5)

    def forward(self, ids):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)) * self.factor


def by_width(model, lr):
    """Adam as muP has it: the rate of the matrices in the blocks falls with the width."""
    inside = [p for b in model.blocks for p in b.parameters() if p.ndim > 1]
    ids = {id(p) for p in inside}
    rest = [p for p in model.parameters() if id(p) not in ids]
    m = model.embedding.embedding_dim / BASE
    return torch.optim.Adam([{"params": inside, "lr": lr / m}, {"params": rest, "lr": lr}])


IDS = torch.randint(50, (4, 16), generator=torch.Generator().manual_seed(0))


def loss(y):
    return F.cross_entropy(y[:, :-1].flatten(0, 1), IDS[:, 1:].flatten())


def check(optimizer=by_width, **options):
    return init.coord_check(
        lambda d: Decoder(d, **options),
        [64, 128, 256],
        IDS,
        loss,
        steps=10,
        lr=1e-2,
        optimizer=optimizer,
    )


def found(report):
    return {(each.kind, each.where) for each in report.findings}


def test_mup_has_no_findings():
    report = check()
    assert report.findings == []
    assert {row["layer"] for row in report.rows} >= {"attention logits", "blocks.*.q", "head"}


def test_the_standard_parametrization_grows_with_width():
    kinds = found(check(None, scores="1/sqrt(d)", head=False))
    everywhere = {f"blocks.*.{name}" for name in ("q", "k", "v", "o", "up", "down")}
    grown = {"attention logits", "head", *everywhere}
    assert {("update grows", name) for name in grown} == kinds


def test_a_rate_that_ignores_the_width_is_found_where_it_acts():
    wrong = found(check(None))
    assert ("update grows", "blocks.*.q") in wrong
    assert "signal grows" not in {kind for kind, _ in wrong}


def test_a_std_that_ignores_the_width_is_found_at_the_start():
    wrong = found(check(std=False))
    assert {("signal grows", f"blocks.*.{name}") for name in ("q", "k", "v", "up")} <= wrong


@pytest.mark.parametrize("by_name", [False, True])
def test_scores_without_a_scale_are_found_alone(by_name):
    report = check(scores="none", by_name=by_name)
    first = report.findings[0]
    assert (first.kind, first.where) == ("signal grows", "attention logits")
    assert first.message.startswith("the signal at the start grows as width^0.")
    # At the start, queries and keys are independent. Training correlates them.
    assert "by the square root of the size of a head; muP divides by the size itself" in first.hint
    by_update = [each.hint for each in report.findings if each.kind == "update grows"]
    assert all(each.startswith("divide the scores by the size of a head,") for each in by_update)
    assert {where for _, where in found(report)} == {"attention logits"}


class OneHead(nn.Module):
    """Attention of one head, without a scale; the keys may be the queries."""

    def __init__(self, width, shared):
        super().__init__()
        self.table = nn.Embedding(50, width)
        self.query, self.key = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.out, self.shared = nn.Linear(width, 50, bias=False), shared
        for layer in (self.query, self.key, self.out):
            nn.init.normal_(layer.weight, std=width**-0.5)

    def forward(self, ids):
        x = self.table(ids)
        q = self.query(x)
        weights = (q @ (q if self.shared else self.key(x)).mT).softmax(-1)
        return self.out(weights @ x)


@pytest.mark.parametrize(
    ("shared", "exponent", "hint"),
    [
        (False, 0.5, "by the square root of the size of a head; muP divides"),
        (True, 1.0, "by the size of a head, because queries and keys are correlated"),
    ],
)
def test_the_hint_for_scores_depends_on_how_they_grow(shared, exponent, hint):
    report = init.coord_check(
        lambda width: OneHead(width, shared), [64, 128, 256, 512], IDS, loss, steps=1, lr=1e-6
    )
    (row,) = (row for row in report.printed if row["layer"] == "attention logits")
    assert row["signal"] == pytest.approx(exponent, abs=0.15)
    scores = [each for each in report.findings if each.where == "attention logits"]
    assert scores[0].kind == "signal grows"
    assert hint in scores[0].hint


def test_the_exponents_of_a_product_are_exact():
    class Product(nn.Module):
        """Its output at the start is the number of ones, so its exponent is 1."""

        def __init__(self, width):
            super().__init__()
            self.layer = nn.Linear(width, 1, bias=False)
            nn.init.ones_(self.layer.weight)

        def forward(self, x):
            return self.layer(x.expand(-1, self.layer.in_features))

    made = init.coord_check(Product, [8, 16, 64], torch.ones(3, 1), lambda y: y.mean(), lr=0.1)
    (row,) = made.printed
    assert row["signal"] == pytest.approx(1)
    # Adam moves each of the n weights by the rate, so the output moves by n times the rate.
    assert row["update"] == pytest.approx(1, abs=1e-4)
    assert "the signal at the start grows as width^1.00" in made.findings[0].message


def test_depths_are_compared_too():
    report = init.coord_check(
        lambda d, n: Decoder(d, n), [64, 128], IDS, loss, depths=[2, 4], steps=1
    )
    assert {row["axis"] for row in report.rows} == {"width", "depth"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": [64]}, "widths must hold at least two sizes"),
        ({"depths": [2]}, "depths must hold at least two sizes"),
        ({"widths": [0, 64]}, "each of widths must be a positive integer; got 0"),
        ({"depths": [1, 1.5]}, "each of depths must be a positive integer; got 1.5"),
        ({"steps": 0}, "steps must be a positive integer; got 0"),
        ({"make_model": lambda d: nn.ReLU()}, "got none at width 64"),
        ({"loss": lambda y: y.sum() * math.nan}, "must be finite; got nan at width 64, step 0"),
        ({"lr": math.inf}, "lr must be finite"),
    ],
)
def test_bad_input_is_named_and_the_random_state_stays(options, message):
    arguments = {"make_model": Decoder, "widths": [64, 128], "batch": IDS, "loss": loss}
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        init.coord_check(**{**arguments, **options})
    assert torch.equal(before, torch.get_rng_state())


def test_a_progress_bar_is_shown_only_on_demand(capfd, monkeypatch):
    arguments = (lambda d: nn.Linear(4, d), [2, 4], torch.ones(3, 4), lambda y: y.mean())
    init.coord_check(*arguments, steps=1)
    assert capfd.readouterr() == ("", "")
    init.coord_check(*arguments, steps=1, progress=True)
    assert "2/2" in capfd.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    with pytest.raises(ModuleNotFoundError, match="progress needs tqdm: pip install tqdm"):
        init.coord_check(*arguments, steps=1, progress=True)
