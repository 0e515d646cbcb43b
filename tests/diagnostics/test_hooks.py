"""What is recorded of each layer while a model runs, on networks of a few layers."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initguide.diagnostics.hooks import place_in_branches, recording, start_from
from initguide.diagnostics.watch import Watch
from initguide.graph.trace import trace


def record_of(model, *inputs, loss=None):
    """Return the layers by name, after a run and perhaps the gradients."""
    with recording(model, trace(model)) as record:
        start_from(record, inputs)
        with Watch(record):
            y = model(*inputs)
        place_in_branches(record, [y])
        if loss is not None:
            torch.autograd.grad(loss(y), record.roots, allow_unused=True)
    assert record.inside == 0
    return record, {layer.name: layer for layer in record.layers}


def signal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def rms(x):
    return pytest.approx(x.square().mean().sqrt().item(), rel=1e-5)


def test_the_input_is_measured_first_after_a_norm_and_before_zeros():
    layers = [nn.Linear(6, 6) for _ in range(3)]
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), layers[0], nn.LayerNorm(6), *layers[1:])
    nn.init.zeros_(model[5].weight)
    x = signal(5, 4)
    _, layers = record_of(model, x)
    given = [x]
    for part in model:
        given.append(part(given[-1]))
    for i in (0, 4, 5):
        mean, std, size = layers[str(i)].input
        assert size == rms(given[i])
        assert mean == pytest.approx(given[i].mean().item(), abs=1e-6)
        assert std == pytest.approx(given[i].var(0, correction=0).mean().sqrt().item(), rel=1e-4)
        assert layers[str(i)].read is None
    assert layers["2"].input is None
    assert layers["2"].read == rms(given[2])
    assert [layers[i].fresh for i in "0245"] == [False, False, True, False]
    assert [layers[i].normed for i in "0245"] == [False, True, False, False]
    assert [layers[i].head for i in "0245"] == [False, False, False, True]
    for i in "0245":
        assert layers[i].units == 6
        assert layers[i].entries == 30
        assert layers[i].batched
        assert layers[i].output[2] == pytest.approx(
            given[int(i) + 1].square().mean().sqrt().item(), rel=1e-5, abs=1e-9
        )


class Again(nn.Module):
    """Two calls of one layer, the second after a norm, and layers after each."""

    def __init__(self, normed):
        super().__init__()
        self.shared, self.one, self.two = (nn.Linear(6, 6) for _ in range(3))
        self.norm = nn.RMSNorm(6) if normed else nn.Identity()

    def forward(self, x):
        x = self.one(self.shared(x))
        return self.two(torch.tanh(self.shared(0.01 * self.norm(x))).type_as(x))


@pytest.mark.parametrize("normed", [True, False])
def test_a_norm_before_a_later_call_of_a_layer_counts_after_it(normed):
    _, layers = record_of(Again(normed), signal(5, 6))
    assert [layers[name].fresh for name in ("shared", "one", "two")] == [False, False, normed]
    assert (layers["two"].input is not None) == normed


def test_the_second_tensor_of_a_change_of_type_gives_no_values():
    class Changed(Again):
        def forward(self, x):
            y = self.one(x)
            return self.two(self.shared(x).type_as(y).view_as(y))

    record, layers = record_of(Changed(False), signal(5, 6))
    assert record.flows.feeds[layers["two"].bit] == 1 << layers["shared"].bit


def test_one_input_has_no_std():
    _, layers = record_of(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3)), signal(1, 4))
    first = layers["0"]
    assert not first.batched
    assert first.equal is None
    assert first.input[1] != first.input[1]
    assert first.output[1] != first.output[1]


def test_a_norm_of_several_signals_is_of_none_of_them():
    class Joins(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = (nn.Linear(4, 4) for _ in range(3))
            self.norm = nn.LayerNorm(8)

        def forward(self, x):
            alone = F.layer_norm(self.c(x), (4,))
            return self.norm(torch.cat([self.a(x), self.b(x)], -1)).sum() + alone

    _, layers = record_of(Joins(), signal(5, 4))
    assert {name: layer.normed for name, layer in layers.items()} == {
        "a": False,
        "b": False,
        "c": True,
    }


def test_the_gradient_is_that_of_the_first_output_that_has_one():
    class Last(nn.Module):
        def __init__(self, which):
            super().__init__()
            self.lstm, self.which = nn.LSTM(4, 3), which

        def forward(self, x):
            y, (h, _) = self.lstm(x)
            return {"y": y, "h": h, "both": y[:1] + 5 * h, "turned": 5 * h + y[:1]}[self.which]

    for which, gradient, entries in (
        ("y", (7 * 5 * 3) ** 0.5, 7 * 5 * 3),
        ("h", (5 * 3) ** 0.5, 5 * 3),
        ("both", (5 * 3) ** 0.5, 7 * 5 * 3),
        ("turned", (5 * 3) ** 0.5, 7 * 5 * 3),
    ):
        record, layers = record_of(Last(which), signal(7, 5, 4), loss=torch.sum)
        assert layers["lstm"].gradient == pytest.approx(gradient)
        assert layers["lstm"].entries == entries
        # The outputs and the last state.
        assert len(record.roots) == 2


def test_gradients_end_at_the_first_layers():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.left, self.right, self.top = (nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            return self.top(self.left(x) + self.right(x))

    record, layers = record_of(Two(), signal(5, 4), loss=torch.sum)
    assert len(record.roots) == 2
    assert layers["top"].gradient == pytest.approx(20**0.5)
    with torch.no_grad():
        record, layers = record_of(Two(), signal(5, 4))
    assert record.roots == []
    assert layers["top"].gradient is None


def test_what_is_computed_from_parameters_alone_sees_no_input():
    class Query(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Parameter(torch.ones(5, 4))
            self.query, self.key = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.query(self.table) * self.key(x)

    record, layers = record_of(Query(), signal(5, 4))
    assert layers["query"].without_inputs
    assert not layers["key"].without_inputs
    assert record.met == {"table"}


def test_a_branch_of_one_layer_is_alone():
    class Stream(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.one, self.a, self.b = (nn.Linear(4, 4) for _ in range(4))

        def forward(self, x):
            x = self.stem(x)
            x = x + self.one(x)
            return x + self.b(torch.relu(self.a(x)))

    _, layers = record_of(Stream(), signal(5, 4))
    assert [layer.branch is None for layer in layers.values()] == [True, False, False, False]
    assert layers["a"].branch == layers["b"].branch != layers["one"].branch
    assert [layer.ends for layer in layers.values()] == [False, True, False, True]
    assert [layer.alone for layer in layers.values()] == [False, True, False, False]
    # What the model returns comes from all that nothing follows.
    assert [layer.head for layer in layers.values()] == [False, False, False, True]


def test_a_table_has_units_that_are_not_compared():
    model = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 4))
    nn.init.ones_(model[0].weight)
    _, layers = record_of(model, torch.arange(5))
    assert layers["0"].equal is None
    assert layers["0"].input is None
    assert layers["0"].read is None
    assert layers["0"].is_table
    assert layers["1"].equal is not None


def test_an_output_without_entries_is_named():
    with pytest.raises(ValueError, match=r"layer '0' must have outputs; got shape \(0, 3\)"):
        record_of(nn.Sequential(nn.Linear(4, 3)), torch.ones(0, 4))
