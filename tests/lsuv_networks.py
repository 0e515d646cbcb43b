"""Networks for LSUV with their batches, and the std of each layer's output."""

import itertools

import torch
from torch import nn

import initguide as init


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Branches(nn.Module):
    """Runs in another order than it registers; adds, reuses, works in place, leaves one out."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(16, 4)
        self.right = nn.Linear(8, 16)
        self.unused = nn.Linear(3, 3)
        self.left = nn.Linear(8, 16)
        self.again = nn.Linear(16, 16)

    def forward(self, x):
        h = nn.functional.relu(self.left(x), inplace=True) + torch.tanh(self.right(x))
        return self.last(self.again(self.again(h)))


class Padded(nn.Module):
    """In eval mode torch would pack this batch into a nested tensor."""

    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)

    def forward(self, x):
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[0, 3:] = True
        return self.encoder(x, src_key_padding_mask=padding)


class Equalized(nn.Linear):
    """A custom forward, linear in the weight."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight * 0.1, self.bias)


class Standardized(nn.Linear):
    """A custom forward whose output does not scale with the weight."""

    def forward(self, x):
        return nn.functional.linear(x, self.weight / self.weight.norm(), self.bias)


def with_biases(model, std):
    for index, module in enumerate(model.modules()):
        if isinstance(getattr(module, "bias", None), nn.Parameter):
            init.normal_(module.bias, std=std, generator=generator(index))
    return model


def mlp(depth=6, nonlinearity=nn.ReLU):
    widths = [20, *[30] * depth]
    pairs = itertools.pairwise(widths)
    return nn.Sequential(*(m for a, b in pairs for m in (nn.Linear(a, b), nonlinearity())))


def cnn():
    return nn.Sequential(
        nn.Conv2d(2, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, groups=4),
        nn.Dropout(0.3),
        nn.ConvTranspose2d(8, 6, 4, stride=2),
        nn.Flatten(),
        nn.LazyLinear(5),
    )


def materialized(model, x):
    model(x)
    return model


BATCH = torch.randn(64, 20, generator=generator(1))


CASES = {
    "mlp": (mlp(), torch.randn(64, 20, generator=generator(1))),
    "scaled input": (mlp(), 1000 * torch.randn(64, 20, generator=generator(1)) + 50),
    "tanh": (mlp(20, nn.Tanh), torch.randn(64, 20, generator=generator(1))),
    "branches": (Branches(), torch.randn(64, 8, generator=generator(1))),
    "cnn": (
        materialized(cnn(), torch.randn(16, 2, 8, 8)),
        torch.randn(16, 2, 8, 8, generator=generator(1)),
    ),
    "channels last": (
        nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3)).to(
            memory_format=torch.channels_last
        ),
        torch.randn(16, 2, 8, 8, generator=generator(1)).to(memory_format=torch.channels_last),
    ),
    "biases": (with_biases(mlp(), 0.8), torch.randn(64, 20, generator=generator(1))),
    "signal far below its bias": (
        with_biases(nn.Linear(20, 30), 0.8),
        1e-8 * torch.randn(64, 20, generator=generator(1)),
    ),
    "squares overflow": (mlp(), 1e25 * torch.randn(64, 20, generator=generator(1))),
    "squares underflow": (mlp(), 1e-25 * torch.randn(64, 20, generator=generator(1))),
    "mean far above the std": (
        nn.Linear(20, 1),
        torch.randn(64, 20, generator=generator(1)) + 1e3,
    ),
    "vector": (nn.Linear(20, 30), torch.randn(20, generator=generator(1))),
    "own forward": (
        nn.Sequential(with_biases(Equalized(20, 9), 0.5), nn.Linear(9, 3)),
        torch.randn(64, 20, generator=generator(1)),
    ),
    "wrapped": (nn.DataParallel(mlp()), torch.randn(64, 20, generator=generator(1))),
    "unbatched": (nn.Conv1d(3, 5, 3), torch.randn(3, 50, generator=generator(1))),
    "attention": (
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        torch.randn(8, 5, 16, generator=generator(1)),
    ),
    "attention in eval mode": (
        with_biases(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 0.3).eval(),
        torch.randn(8, 5, 16, generator=generator(1)),
    ),
    "padded": (Padded().eval(), torch.randn(8, 5, 16, generator=generator(1))),
    "weight norm": (
        nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(20, 9)), nn.Linear(9, 3)),
        torch.randn(64, 20, generator=generator(1)),
    ),
}


def output_stds(model, x, seed=7):
    """Measure with hooks of our own: the std of each layer's output at its first call."""
    stds = {}

    def record(name):
        def hook(_module, _inputs, out):
            first = out[0] if isinstance(out, tuple) else out
            stds.setdefault(name, first.double().std(correction=0).item())

        return hook

    kinds = (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)
    handles = [
        module.register_forward_hook(record(name or "model"))
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    ]
    torch.manual_seed(seed)  # dropout must drop what it dropped in the calibration
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # a nested tensor has no std
    with torch.no_grad():
        model(x)
    torch.backends.mha.set_fastpath_enabled(fast)
    for handle in handles:
        handle.remove()
    return stds


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}
