"""Traces of whole models: of forwards that cannot be traced, of unused layers, without hooks."""

import pytest
import torch
from torch import nn
from zoo import BRANCHES, NORMED, NanoGPT, ResNet, encoder

import initguide as init
from initguide.graph.forward_graph import LayerTracer
from initguide.graph.trace import trace


class Choosy(nn.Module):
    """Branches on values."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        x = self.inner(x)
        return self.head(x) if x.sum() > 0 else x


def test_a_forward_that_cannot_be_traced_is_noted_and_its_parts_are_traced():
    found = trace(nn.Sequential(Choosy()))
    assert found.layer("0.inner.0").label == "tanh"
    assert found.layer("0.inner.2").note == (
        "the operation after the submodule is unknown and treated as linear"
    )
    reason = "cannot be traced: it branches on a value, which needs an example"
    assert found.layer("0.head").note == f"forward of 0 {reason}"
    rows = {row["parameter"]: row for row in init.plan(Choosy()).rows}
    assert rows["head.weight"]["note"] == f"forward of the model {reason}"
    assert rows["head.weight"]["before"] == "not known"
    assert rows["inner.0.weight"]["law"] == "xavier_normal_"


def test_a_list_inside_a_forward_that_cannot_be_traced_is_not_the_reason():
    class Chooses(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = nn.ModuleList([nn.Linear(4, 4)])

        def forward(self, x):
            return self.parts[int(x)](x)

    (row,) = (row for row in init.plan(Chooses()).rows if row["fan_in"])
    assert row["note"].startswith("forward of the model cannot be traced: it reads a value")
    # A list alone is one.
    alone = trace(nn.ModuleList([nn.Linear(4, 4)]))
    assert alone.layer("0").note.startswith("forward of the model cannot be traced: NotImpl")


def test_a_reason_is_the_first_line_of_a_short_error():
    class Raises(nn.Module):
        def __init__(self, message):
            super().__init__()
            self.a, self.message = nn.Linear(4, 4), message

        def forward(self, x):
            raise RuntimeError(self.message)

    for message, words in (
        ("bad size\nof x", "RuntimeError: bad size"),
        ("x" * 59, f"RuntimeError: {'x' * 59}"),
        ("x" * 60, "RuntimeError"),
        ("", "RuntimeError: "),
    ):
        note = trace(Raises(message)).layer("a").note
        assert note == f"forward of the model cannot be traced: {words}"


def test_a_reason_is_that_of_a_call_without_optional_arguments():
    class Asks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(4, 4)

        def forward(self, x, mask=None):
            raise RuntimeError("without a mask" if mask is None else "with a mask")

    note = trace(Asks()).layer("a").note
    assert note == "forward of the model cannot be traced: RuntimeError: without a mask"


def test_a_layer_that_is_not_used_is_noted():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.idle = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            return self.a(x)

    rows = {row["parameter"]: row for row in init.plan(Idle()).rows}
    assert (rows["idle.weight"]["before"], rows["idle.weight"]["note"]) == (
        "not known",
        "the trace did not reach this layer",
    )


def test_a_layer_alone_is_an_output():
    assert trace(nn.Linear(3, 3)).layer("").label == "output"


def test_hooks_do_not_run():
    model, calls = ResNet(), []
    for module in model.modules():
        module.register_forward_hook(lambda *_: calls.append(1))
        module.register_forward_pre_hook(lambda *_: calls.append(1))
    assert trace(model).branch_count == 4
    assert calls == []


def test_torchs_own_transformer_layers():
    for activation, label, gain in (("relu", "relu", 2**0.5), (nn.SiLU(), "silu", 1.67653)):
        found = trace(encoder(1, activation=activation))
        assert found.layer("layers.0.linear1").label == label
        assert init.gain(found.layer("layers.0.linear1").nonlinearity) == pytest.approx(
            gain, rel=1e-5
        )
    assert sum(info.ends for info in trace(encoder(3)).layers.values()) == 6


def test_a_model_that_asserts_is_traced_by_its_blocks():
    found = trace(NanoGPT())
    assert found.branch_count == 4
    assert found.layer("h.1.c_fc").label == "gelu"
    assert set(NORMED) < set(BRANCHES)


class Read(nn.Module):
    """A layer that is never called, though its weight is read; one that is tied to another."""

    def __init__(self):
        super().__init__()
        self.read, self.table, self.shared = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.shared.weight = self.table.weight
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x, mask=None, labels=None):
        return self.encoder(self.table(x) @ self.read.weight)


def test_a_forward_is_traced_once_if_that_reaches_all_layers(monkeypatch):
    """Each way to call it costs as much as the first."""
    traced, trace_ = [], LayerTracer.trace
    monkeypatch.setattr(LayerTracer, "trace", lambda self, m: traced.append(m) or trace_(self, m))
    model = Read()
    found = trace(model)
    assert [type(each) for each in traced] == [Read]
    assert {name: role.kind for name, role in found.roles.items()} == {"read.weight": "weight"}


def test_a_length_that_is_not_known_can_be_divided_by_each_number():
    class Windows(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            if x.shape[1] % 3 or x.shape[1] % 7:
                raise ValueError("the length must be a multiple of 21")
            return self.b(self.a(x).tanh())

    assert (trace(Windows()).layer("a").label, trace(Windows()).layer("a").note) == ("tanh", "")


def test_unpacking_a_proxy_gives_one_value_for_each_name():
    class Unpacks(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.c = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x):
            q, (k, v) = self.a(x), self.b(x)
            return self.c(torch.relu(q) + torch.tanh(k) * v.cumsum(0))

    found = trace(Unpacks())
    assert found.layer("a").label == "relu"
    assert found.layer("b").label == "tanh"


class AskingForGradients(nn.Module):
    """Computes another activation on a GPU, or if its input needs a gradient."""

    def __init__(self, attribute):
        super().__init__()
        self.first, self.last, self.attribute = nn.Linear(256, 300), nn.Linear(300, 4), attribute

    def forward(self, x):
        h = self.first(x)
        return self.last(torch.tanh(h) if getattr(h, self.attribute) else torch.relu(h))


@pytest.mark.parametrize("attribute", ["requires_grad", "is_cuda"])
def test_a_proxy_is_on_the_cpu_and_needs_no_gradient(attribute):
    assert trace(AskingForGradients(attribute)).layer("first").label == "relu"


PARTS = {
    "chunk": lambda z: [torch.tanh(part) for part in z.chunk(3, -1)],
    "a keyword": lambda z: [torch.tanh(part) for part in torch.chunk(z, dim=-1, chunks=3)],
    "split": lambda z: [torch.tanh(part) for part in z.split([256, 256, 256], -1)],
    "places": lambda z: [*map(torch.tanh, torch.tensor_split(z, (256, 512), -1))],
    "a generator": lambda z: tuple(torch.tanh(part) for part in torch.chunk(z, 3, -1)),
}


@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_a_loop_over_the_parts_of_a_tensor_is_traced(parts):
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.into, self.out = nn.Linear(256, 768), nn.Linear(256, 10)

        def forward(self, x):
            q, k, v = parts(self.into(x))
            return self.out(torch.relu(q + k + v))

    found = trace(Loop())
    assert (found.layer("into").label, found.layer("into").note) == ("tanh", "")
