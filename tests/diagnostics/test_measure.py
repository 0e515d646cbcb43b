"""`measure`: its numbers, worked by hand or by other means, and that the model stays as it is."""

import math

import pytest
import torch
from models import (
    LastState,
    Recurrent,
    Residual,
    Tokens,
    classes,
    cnn,
    images,
    mlp,
    tokens,
    vectors,
)
from starts import by, default
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.diagnostics.measure import measure


def by_name(report):
    return {row["layer"]: row for row in report.rows}


def tiny():
    """Two inputs, two units: z = (1, 4), (2, 0), then y = -3, 2."""
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, 2.0], [3.0, -1.0]]))
        model[0].bias.copy_(torch.tensor([0.0, 1.0]))
        model[2].weight.copy_(torch.tensor([[1.0, -1.0]]))
    return model, torch.eye(2)


def test_numbers_by_hand():
    model, x = tiny()
    first, last = measure(model, x, loss=torch.sum).rows
    root = math.sqrt
    # Over the inputs the units have variances 1/4 and 4; the gradient is (1, -1), (1, 0).
    want = {
        "layer": "0",
        "kind": "Linear",
        "weight": "2 × 2",
        "fan_in": 2,
        "weight_rms": root(15 / 4),
        "before": "relu",
        "mean": 7 / 4,
        "std": root(17 / 8),
        "rms": root(21 / 4),
        "zeros": 1 / 4,
        "dead": 0,
        "saturated": None,
        "gradient_rms": root(3 / 4),
        "signal_ratio": root(21 / 4) / root(1 / 2),
        "gradient_ratio": root(3) / root(2),
    }
    assert first == {k: pytest.approx(v) if isinstance(v, float) else v for k, v in want.items()}
    assert last["mean"] == pytest.approx(-1 / 2)
    assert last["std"] == pytest.approx(5 / 2)
    assert last["rms"] == pytest.approx(root(13 / 2))
    assert last["signal_ratio"] == pytest.approx(root(13 / 2) / root(21 / 4))
    assert (last["gradient_rms"], last["gradient_ratio"]) == (pytest.approx(1), None)
    assert (last["zeros"], last["dead"], last["weight"]) == (None, None, "1 × 2")


def test_without_a_loss_there_is_no_gradient():
    model, x = tiny()
    assert [row["gradient_rms"] for row in measure(model, x).rows] == [None, None]


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_std_far_below_the_rms(scale):
    model = nn.Sequential(nn.Linear(2, 1), nn.Identity())
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1e-4, 0.0]]) * scale)
        model[0].bias.fill_(scale)
    (row,) = measure(model, torch.tensor([[1.0, 0.0], [-1.0, 0.0]])).rows
    assert row["std"] == pytest.approx(1e-4 * scale, rel=1e-3)
    assert row["rms"] == pytest.approx(scale)


def test_saturated_units_are_counted():
    z = torch.tensor([[-3.0], [-2.2], [-2.15], [0.0], [2.15], [2.2], [9.0], [1.0]])
    for nonlinearity, scale in ((nn.Tanh(), 1.0), (nn.Sigmoid(), 2.0)):
        model = nn.Sequential(nn.Linear(1, 1), nonlinearity, nn.Linear(1, 1))
        init.constant_(model[0].weight, scale)
        init.zeros_(model[0].bias)
        # tanh' = 1/20 at 2.178.
        assert measure(model, z).rows[0]["saturated"] == 4 / 8


@pytest.mark.parametrize(
    ("nonlinearity", "share"),
    [(nn.Hardtanh(), 0.25), (nn.Hardtanh(-2, 2), 0.0), (nn.Hardsigmoid(), 0.0), (nn.Softsign(), 0)],
)
def test_other_saturating_activations(nonlinearity, share):
    model = nn.Sequential(nn.Linear(1, 1), nonlinearity, nn.Linear(1, 1))
    init.ones_(model[0].weight)
    init.zeros_(model[0].bias)
    z = torch.tensor([[-1.5], [-0.5], [0.5], [0.9]])
    assert measure(model, z).rows[0]["saturated"] == share


class Functional(nn.Module):
    """Functions, methods and in-place activations; branches side by side."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3)
        self.c, self.d = nn.Conv2d(4, 4, 1), nn.Linear(4, 4)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        h = F.relu(a, inplace=True) + torch.tanh(b)
        return self.d(self.c(h).relu_().mean((2, 3)))


def test_activations_that_are_no_modules():
    model, x = default(Functional, 0), images(0)
    rows = by_name(measure(model, x))
    with torch.no_grad():
        a, b = model.a(x), model.b(x)
        c = model.c(a.relu() + b.tanh())
    assert rows["a"]["zeros"] == pytest.approx((a <= 0).float().mean().item())
    assert rows["c"]["zeros"] == pytest.approx((c <= 0).float().mean().item())
    assert rows["b"]["zeros"] is None
    assert rows["b"]["saturated"] == pytest.approx((b.tanh().abs() > 0.9747).float().mean().item())
    assert rows["a"]["rms"] == pytest.approx(a.square().mean().sqrt().item())
    assert rows["a"]["std"] == pytest.approx(a.var(0, correction=0).mean().sqrt().item(), rel=1e-5)
    dead = (c <= 0).all(3).all(2).all(0).sum().item()
    assert rows["c"]["dead"] == dead


def outputs_and_gradients(model, x, loss):
    """The outputs by layer, and their gradients, by other means."""
    found, handles = {}, []

    def keep(name):
        def hook(module, args, output):
            found[name] = output[0] if isinstance(output, tuple) else output
            found[name].retain_grad()

        return hook

    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Embedding, nn.RNNBase)):
            handles.append(module.register_forward_hook(keep(name)))
    loss(model(x)).backward()
    for handle in handles:
        handle.remove()
    model.zero_grad()
    return found


@pytest.mark.parametrize(
    ("build", "batch"),
    [
        (cnn, images),
        (Recurrent, tokens),
        (lambda: mlp(4, nn.GELU, norm=nn.BatchNorm1d), vectors),
        (lambda: Residual(3), lambda s: vectors(s, 32)),
        (lambda: nn.Sequential(nn.BatchNorm1d(100), *mlp(2)), vectors),
        (lambda: mlp(3).double(), lambda s: vectors(s).double()),
        (lambda: mlp(3), lambda s: vectors(s).requires_grad_()),
        (lambda: cnn().to(memory_format=torch.channels_last), images),
    ],
)
def test_gradients_are_those_of_autograd(build, batch):
    model, x = default(build, 0), batch(0)
    rows = measure(model, x, loss=classes).rows
    found = outputs_and_gradients(model, x, classes)
    assert [row["layer"] for row in rows] == list(found)
    for row in rows:
        tensor = found[row["layer"]].detach()
        gradient = found[row["layer"]].grad
        assert row["gradient_rms"] == pytest.approx(gradient.square().mean().sqrt().item(), 1e-4)
        assert row["mean"] == pytest.approx(tensor.mean().item(), 1e-3, 1e-6)
        std = tensor.var(0, correction=0).mean().sqrt().item()
        assert row["std"] == pytest.approx(std, 1e-4)


def test_a_recurrent_layer_used_by_its_last_state():
    for kind in (nn.GRU, nn.LSTM):
        model = default(lambda kind=kind: LastState(kind, 1), 0)
        rows = by_name(measure(model, tokens(0), loss=classes))
        state = []
        hook = model.head.register_forward_pre_hook(lambda _, args, state=state: state.append(args))
        loss = classes(model(tokens(0)))
        hook.remove()
        (gradient,) = torch.autograd.grad(loss, state[0])
        assert rows["rnn"]["gradient_rms"] == pytest.approx(gradient.square().mean().sqrt().item())
        assert rows["embedding"]["gradient_rms"] > 0


class BothStates(LastState):
    def forward(self, x):
        output, state = self.rnn(self.embedding(x))
        self.kept = output
        return self.head(output[:, 0] + 3 * state[-1])


def test_of_a_recurrent_layer_the_gradient_is_that_of_its_output():
    model = default(lambda: BothStates(nn.GRU, 1), 0)
    rows = by_name(measure(model, tokens(0), loss=classes))
    loss = classes(model(tokens(0)))
    (gradient,) = torch.autograd.grad(loss, model.kept)
    assert rows["rnn"]["gradient_rms"] == pytest.approx(gradient.square().mean().sqrt().item())


class Odd(nn.Module):
    """The other layers: attention, time first, a packed sequence, a layer used twice or never."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2)
        self.rnn = nn.LSTM(8, 8)
        self.twice = nn.Linear(8, 8)
        self.never = nn.Linear(8, 8)
        self.transposed = nn.ConvTranspose1d(8, 8, 2)
        self.cell = nn.GRUCell(8, 8)
        self.bilinear = nn.Bilinear(8, 8, 8)

    def forward(self, x):
        h = self.attention(x, x, x)[0]
        packed = nn.utils.rnn.pack_padded_sequence(h, torch.full((h.shape[1],), len(h)))
        h = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0])[0]
        h = self.twice(2 * self.twice(h))
        h = self.transposed(h.permute(1, 2, 0)).mean(2)
        return self.bilinear(self.cell(h, h), h)


def test_all_kinds_of_layers():
    model = default(Odd, 0)
    x = torch.randn(5, 7, 8, generator=torch.Generator().manual_seed(0))
    report = measure(model, x, loss=lambda y: y.square().mean())
    assert report.notes == ["not reached by the batch: never"]
    assert report.notes[0] in str(report)
    rows = by_name(report)
    assert list(rows) == ["attention", "rnn", "twice", "transposed", "cell", "bilinear"]
    h = model.attention(x, x, x)[0].detach()
    # Time comes first here: the inputs are the second axis.
    std = h.var(1, correction=0).mean().sqrt().item()
    assert rows["attention"]["std"] == pytest.approx(std, rel=1e-4)
    first = model.twice(model.rnn(h)[0]).detach()
    assert rows["twice"]["rms"] == pytest.approx(first.square().mean().sqrt().item(), rel=1e-4)
    assert all(row["gradient_rms"] > 0 for row in report.rows)
    assert [row["fan_in"] for row in report.rows] == [8, 8, 8, 16, 8, 64]


def test_tied_and_shared_weights_are_no_clones():
    model = nn.Sequential(nn.Embedding(20, 20), nn.Linear(20, 20, bias=False))
    model[1].weight = model[0].weight
    assert measure(model, torch.arange(20)).findings == []


def test_identities_are_no_clones():
    convolutions = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)]
    for layer in convolutions:
        init.dirac_(layer.weight)
    assert measure(nn.Sequential(*convolutions), images(0)).findings == []


def test_subpixel_kernels_are_no_symmetric_units():
    model = nn.Sequential(nn.Conv2d(3, 12, 3), nn.PixelShuffle(2), nn.Conv2d(3, 3, 3))
    init.icnr_(model[0].weight, generator=torch.Generator().manual_seed(0))
    assert measure(model, images(0)).findings == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(dtype):
    model = default(lambda: mlp(3), 0).to(dtype)
    x = vectors(0).to(dtype)
    rows = measure(model, 100 * x, loss=lambda y: y.float().square().mean()).rows
    z = model[0](100 * x).detach().float()
    assert rows[0]["rms"] == pytest.approx(z.square().mean().sqrt().item(), rel=1e-4)
    assert rows[0]["std"] == pytest.approx(z.var(0, correction=0).mean().sqrt().item(), rel=1e-3)


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_gradients_where_the_caller_wants_none(off):
    model = default(lambda: mlp(3), 0)
    want = measure(model, vectors(0), loss=classes).rows
    with off():
        assert measure(model, vectors(0), loss=classes).rows == want


def test_one_input_has_no_std():
    model = default(lambda: mlp(3), 0)
    for x in (vectors(0)[0], vectors(0)[:1]):
        report = measure(model, x)
        assert [row["std"] for row in report.rows] == [None] * 4
        assert report.findings == []


# Nothing changes.


def state(model):
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    return {
        "tensors": {n: (id(t), t.clone()) for n, t in model.state_dict(keep_vars=True).items()},
        "gradients": {n: (id(p.grad), p.grad.clone()) for n, p in model.named_parameters()},
        "trains": [p.requires_grad for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": hooks,
        "random": torch.get_rng_state(),
        "enabled": (torch.is_grad_enabled(), torch.backends.mha.get_fastpath_enabled()),
    }


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


class Raises(nn.Module):
    def forward(self, x):
        raise RuntimeError("no further")


def dropping(*more):
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(8 * 14 * 14, 10), *more)
    model[1].eval()
    model[0].bias.requires_grad_(requires_grad=False)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return model


def wrong(y):
    raise RuntimeError("no further")


@pytest.mark.parametrize(
    ("model", "loss", "error"),
    [
        (dropping(), classes, None),
        (dropping(), None, None),
        (dropping(Raises()), classes, "no further"),
        (dropping(), wrong, "no further"),
        (dropping(), lambda y: y, "loss must return a scalar"),
        (dropping(), lambda y: y.detach().sum(), "loss must depend on a parameter"),
    ],
)
def test_nothing_changes(model, loss, error):
    model.train()
    before = state(model)
    x = images(0)
    if error:
        with pytest.raises((RuntimeError, ValueError), match=error):
            measure(model, x, loss=loss)
    else:
        measure(model, x, loss=loss)
    assert equal(state(model), before)
    assert equal(x, images(0))


def test_tensors_that_are_kept_have_no_hook():
    model, kept = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), []
    model[0].register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    measure(model, vectors(0, 4), loss=torch.sum)
    assert not kept[0]._backward_hooks


def frozen():
    return mlp(2).requires_grad_(requires_grad=False)


@pytest.mark.parametrize(
    ("build", "x", "loss", "error", "words"),
    [
        (lambda: "model", 0, None, TypeError, "model must be an nn.Module; got str"),
        (lambda: mlp(2), vectors(0), 3, TypeError, "loss must be a function .* got 3"),
        (lambda: mlp(2), vectors(0), lambda y: 1.0, TypeError, "return a tensor; got float"),
        (lambda: mlp(2), vectors(0), lambda y: y, ValueError, r"scalar; got shape \(64, 10\)"),
        (frozen, vectors(0), torch.sum, ValueError, "loss must depend on a parameter"),
        (lambda: mlp(2), vectors(0) * math.nan, None, ValueError, "finite; got 6400 NaN"),
        (lambda: mlp(2), vectors(0) * math.inf, None, ValueError, "finite; got 6400 NaN or inf"),
        (nn.ReLU, vectors(0), None, ValueError, "reach a layer; got a model without layers"),
        (lambda: nn.LazyLinear(3), vectors(0), None, ValueError, "'weight' must have a shape"),
        (lambda: nn.Linear(3, 3, device="meta"), vectors(0), None, ValueError, "meta tensor"),
        (lambda: mlp(2), vectors(0)[:0], None, ValueError, "layer '0' must have outputs"),
    ],
)
def test_errors(build, x, loss, error, words):
    with pytest.raises(error, match=words):
        measure(build(), x, loss=loss)


def test_a_mask_may_hold_minus_infinity():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x, mask):
            return self.attention(x, x, x, attn_mask=mask)[0]

    mask = nn.Transformer.generate_square_subsequent_mask(5)
    measure(Masked(), torch.randn(4, 5, 8, generator=torch.Generator().manual_seed(0)), mask)


def test_attention_and_norms_in_a_transformer():
    report = measure(by("auto", Tokens)(0), tokens(0), loss=classes)
    kinds = [row["kind"] for row in report.rows]
    assert kinds[:5] == ["Embedding", "Embedding", "MultiheadAttention", "Linear", "Linear"]
    assert report.rows[0]["std"] > 0
    assert by_name(report)["encoder.layers.0.linear1"]["before"] == "relu"
    assert by_name(report)["encoder.layers.0.linear1"]["zeros"] == pytest.approx(0.5, abs=0.1)
