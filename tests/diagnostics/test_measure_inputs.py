"""`measure` takes any model and any batch: compiled, sparse, complex, nested, objects, errors."""

from collections import UserDict, deque, namedtuple
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from measured_networks import WIDTH, Own, own
from models import classes, mlp, vectors
from side_effects import fingerprint
from starts import default
from torch import nn
from torch.nn import functional as F

import initguide as init


def square(y):
    return y.square().mean()


def rows(report):
    return [(row["layer"], pytest.approx(row["rms"])) for row in report.rows]


# Compiled models.


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.own, self.leave = nn.Linear(32, WIDTH), Own(), nn.Linear(WIDTH, 10)

    def forward(self, x):
        return self.leave(torch.tanh(self.own(self.enter(x))))


def whole(model):
    return torch.compile(model, backend="eager")


def in_place(model):
    model.compile(backend="eager")
    return model


def one_part(model):
    model.own = torch.compile(model.own, backend="eager")
    return model


def part_in_place(model):
    model.own.compile(backend="eager")
    return model


@pytest.mark.parametrize("compiled", [whole, in_place, one_part, part_in_place])
def test_a_compiled_model_is_measured_as_the_model(compiled):
    right = init.measure(default(Parts, 0), vectors(0, 32), loss=classes)
    model = compiled(default(Parts, 0))
    report = init.measure(model, vectors(0, 32), loss=classes)
    names = [row["layer"].replace("_orig_mod.", "") for row in report.rows]
    assert names == [row["layer"] for row in right.rows]
    assert [row["rms"] for row in report.rows] == [row["rms"] for row in right.rows]
    assert report.findings == right.findings == []
    # It still runs compiled.
    with torch.no_grad():
        assert model(vectors(0, 32)).shape == (64, 10)


def test_a_fault_in_a_compiled_model_has_the_name_in_the_model():
    model = default(Parts, 0)
    nn.init.normal_(model.own.matrix, std=1e-6)
    (found,) = init.measure(whole(model), vectors(0, 32)).findings
    assert (found.kind, found.where) == ("signal vanishes", "own.matrix")


# Inputs of all kinds.


class Graph(nn.Module):
    """A graph convolution, whose neighbours are the rows of a sparse matrix."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(32, WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x, neighbours):
        return neighbours @ self.two(torch.relu(torch.sparse.mm(neighbours, self.one(x))))


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_dense"])
@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_sparse_inputs(layout):
    x, neighbours = vectors(0, 32), getattr(torch.eye(64), layout)()
    report = init.measure(default(Graph, 0), x, neighbours, loss=classes)
    assert [row["layer"] for row in report.rows] == ["one", "two"]
    assert report.findings == []
    bad = getattr(torch.full((64, 64), torch.nan), layout)()
    with pytest.raises(ValueError, match="inputs must be finite; got 4096 NaN or inf in input 1"):
        init.measure(default(Graph, 0), x, bad)


class SparseInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(32, WIDTH) / 32**0.5)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, x):
        return self.head(torch.relu(torch.sparse.mm(x, self.weight)))


def test_a_sparse_signal():
    report = init.measure(default(SparseInput, 0), vectors(0, 32).to_sparse(), loss=classes)
    assert report.findings == []


class Complex(nn.Module):
    def __init__(self, std=1 / 64**0.5):
        super().__init__()
        layers = (nn.Linear(64, 64, bias=False, dtype=torch.cfloat) for _ in range(4))
        self.layers = nn.ModuleList(layers)
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=std)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x.abs()


def complex_vectors():
    return torch.randn(32, 64, dtype=torch.cfloat, generator=torch.Generator().manual_seed(0))


def test_complex_layers():
    model = default(Complex, 0)
    report = init.measure(model, complex_vectors(), loss=square)
    assert report.findings == []
    first = model.layers[0](complex_vectors()).detach()
    row = report.rows[0]
    assert row["rms"] == pytest.approx(first.abs().square().mean().sqrt().item(), rel=1e-4)
    centred = (first - first.mean(0)).abs().square().mean().sqrt().item()
    assert row["std"] == pytest.approx(centred, rel=1e-4)
    kinds = [each.kind for each in init.measure(Complex(1e-3), complex_vectors()).findings]
    assert kinds == ["signal vanishes"]
    nn.init.zeros_(model.layers[1].weight)
    (found,) = init.measure(model, complex_vectors(), loss=square).findings
    assert (found.kind, found.where) == ("zero layer", "layers.1")


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(32, WIDTH), nn.Linear(WIDTH, 10)

    def forward(self, x):
        h = torch.nested.to_padded_tensor(torch.relu(self.one(x)), 0.0)
        return self.two(h.mean(1))


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided])
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_nested_inputs(layout):
    parts = [vectors(0, 32, n) for n in (5, 7, 3)]
    report = init.measure(default(Pooled, 0), torch.nested.nested_tensor(parts, layout=layout))
    whole = default(Pooled, 0).one(torch.cat(parts)).detach()
    assert report.rows[0]["rms"] == pytest.approx(whole.square().mean().sqrt().item(), rel=1e-4)
    assert report.findings == []


class Pooling(nn.Module):
    """Its query is a parameter, which is the input of a layer."""

    def __init__(self):
        super().__init__()
        self.query = nn.Parameter(vectors(1, 32, 1)[None])
        self.attention = nn.MultiheadAttention(32, 2, batch_first=True)
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(32, 3))

    def forward(self, x):
        return self.head(self.attention(self.query.repeat(len(x), 1, 1), x, x)[0])


def test_parameters_that_layers_read_are_reached():
    x = vectors(0, 32, 20).view(4, 5, 32)
    assert init.measure(Pooling(), x).notes == []
    # A module that is never called, and whose weight another one shares.
    tied = nn.Sequential(nn.Linear(32, 5))
    tied[0].twin = nn.Linear(32, 5)
    tied[0].twin.weight, tied[0].twin.bias = tied[0].weight, tied[0].bias
    assert init.measure(tied, x).notes == []
    unused = nn.Sequential(nn.Linear(32, 5))
    unused[0].inner = nn.utils.parametrizations.weight_norm(nn.Linear(32, 3))
    (note,) = init.measure(unused, x).notes
    assert note.startswith("not reached by the batch: 0.inner, 0.inner.parametrizations.weight")


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")
def test_a_scripted_model_says_what_to_do():
    model = torch.jit.script(nn.Sequential(nn.Linear(32, 5)))
    with pytest.raises(ValueError, match="a scripted model: measure it before you script it"):
        init.measure(model, vectors(0, 32))


@dataclass
class Batch:
    x: Any
    scale: float = 1.0


class Slots:
    __slots__ = ("unset", "x")

    def __init__(self, x):
        self.x = x


Pair = namedtuple("Pair", "x y")


class Reads(nn.Module):
    def __init__(self, read):
        super().__init__()
        self.read, self.layers = read, mlp(2, width=WIDTH)

    def forward(self, batch):
        return self.layers(self.read(batch))


BATCHES = {
    "a dataclass": (Batch, lambda b: b.x),
    "a dict": (lambda x: {"x": x, "name": "a"}, lambda b: b["x"]),
    "a BatchEncoding": (lambda x: UserDict(x=x), lambda b: b["x"]),
    "a namedtuple": (lambda x: Pair(x, None), lambda b: b.x),
    "a deque of lists": (lambda x: deque([[x]]), lambda b: b[0][0]),
    "an object with slots": (Slots, lambda b: b.x),
    "an object in an object": (lambda x: Batch(Batch(x)), lambda b: b.x.x),
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_of_any_class(name):
    make, read = BATCHES[name]
    x = vectors(0, WIDTH)
    right = init.measure(default(lambda: Reads(lambda x: x), 0), x, loss=classes)
    report = init.measure(default(lambda: Reads(read), 0), make(x), loss=classes)
    assert report.rows == right.rows
    with pytest.raises(ValueError, match="finite; got 16384 NaN or inf in input 0"):
        init.measure(Reads(read), make(x * torch.nan))


# What is not seen is said.


class Unknown(nn.Module):
    """A codebook whose use has no name among the roles, and a parameter that nothing uses."""

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(32, 64), nn.Linear(100, 10)
        self.codes, self.idle = nn.Parameter(torch.randn(100, 64)), nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.leave(-torch.cdist(self.enter(x), self.codes))


def test_a_report_says_what_it_did_not_measure():
    report = init.measure(default(Unknown, 0), vectors(0, 32))
    assert report.findings == []
    assert report.partial
    assert report.notes == [
        "not reached by the batch: idle",
        "not measured, because its use is not known: codes (cdist)",
    ]
    assert "nothing found wrong in what was measured\n" in str(report)
    whole = init.measure(own(), vectors(0, 32))
    assert not whole.partial
    assert str(whole).endswith("nothing found wrong")


# Errors.


class Fails(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.error, self.layer = error, nn.Linear(WIDTH, WIDTH)
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, x):
        self.steps += 1
        y = self.layer(x)
        if self.error:
            raise self.error
        return y


class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise KeyboardInterrupt


def interrupted(y):
    raise KeyboardInterrupt


@pytest.mark.parametrize("model", [Fails(None), Fails(OSError), Fails(KeyboardInterrupt)])
@pytest.mark.parametrize(
    "loss", [None, square, interrupted, lambda y: Backward.apply(y).sum(), lambda y: y + 1]
)
def test_nothing_changes_whatever_is_raised(model, loss):
    model = nn.Sequential(nn.Linear(32, WIDTH), nn.Dropout(0.5), Own(), model)
    before = fingerprint(model)
    with suppress(OSError, KeyboardInterrupt, ValueError):
        init.measure(model, vectors(0, 32), loss=loss)
    assert fingerprint(model) == before
    # No mode is left behind, and the model runs.
    assert torch.overrides._get_current_function_mode() is None
    assert torch._C._len_torch_function_stack() == 0


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, y):
        self.calls += 1
        return square(y)


def test_a_loss_that_is_a_module_is_restored_but_a_function_keeps_its_records():
    loss, seen = Counts(), []
    init.measure(nn.Linear(32, 10), vectors(0, 32), loss=loss)
    assert loss.calls == 0
    init.measure(nn.Linear(32, 10), vectors(0, 32), loss=lambda y: seen.append(y) or square(y))
    assert len(seen) == 1


def test_an_error_names_the_module():
    model = nn.Sequential(nn.Linear(32, WIDTH), Fails(OSError("no disk")))
    with pytest.raises(OSError, match="no disk") as error:
        init.measure(model, vectors(0, 32))
    assert "raised in '1': Fails" in error.value.__notes__


def test_a_layer_whose_error_the_forward_catches():
    class Tries(nn.Module):
        def __init__(self):
            super().__init__()
            self.wrong, self.right, self.own = nn.Linear(3, 3), nn.Linear(32, WIDTH), Own()

        def forward(self, x):
            try:
                x = self.wrong(x)
            except RuntimeError:
                x = self.right(x)
            return self.own(x)

    names = [row["layer"] for row in init.measure(Tries(), vectors(0, 32)).rows]
    assert names == ["right", "own.matrix", "own.factor"]


def test_the_loss_may_be_any_of_the_usual_ones():
    y = torch.randint(10, (64,), generator=torch.Generator().manual_seed(0))
    hot = F.one_hot(y, 10).float()
    losses = [
        lambda z: F.cross_entropy(z, y),
        lambda z: F.cross_entropy(z, y, reduction="sum"),
        lambda z: F.cross_entropy(z, y, reduction="none").mean(),
        lambda z: F.cross_entropy(z, hot, label_smoothing=0.1),
        lambda z: F.nll_loss(z.log_softmax(-1), y),
        lambda z: (z.logsumexp(-1) - (z * hot).sum(-1)).mean(),
        lambda z: -(F.log_softmax(z, -1) * hot).sum(-1).mean(),
        lambda z: F.binary_cross_entropy_with_logits(z, hot),
        nn.CrossEntropyLoss(),
    ]
    for index, loss in enumerate(losses):
        usual = loss if index < len(losses) - 1 else lambda z, loss=loss: loss(z, y)
        model = default(lambda: mlp(2, width=WIDTH), 0)
        init.initialize_(model, seed=0)
        assert init.measure(model, vectors(0, WIDTH), loss=usual).findings == [], index
        with torch.no_grad():
            model[-1].weight *= 30
        (found,) = init.measure(model, vectors(0, WIDTH), loss=usual).findings
        assert (found.kind, found.where) == ("large outputs", "4"), index
        guess = f"{torch.tensor(2.0 if index == 7 else 10.0).log().item():.3g}"
        assert f"a uniform guess is {guess}" in found.message, index
