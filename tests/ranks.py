"""Run by several processes (see test_ranks.py): what each holds must be its part of the whole."""

import itertools

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import initguide as init
from initguide.planning import streams

OPTIONS = {
    "constant_": {"val": 0.5},
    "sparse_": {"sparsity": 0.5},
    "sparse_incoming_": {"connections": 3},
}
CONVOLUTIONAL = {"dirac_", "delta_orthogonal_", "icnr_"}


class Block(nn.Module):
    """A residual block with attention, so that every recipe finds what it is for."""

    def __init__(self, width):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.up, self.down = nn.Linear(width, 3 * width), nn.Linear(3 * width, width)
        self.last = nn.LayerNorm(width)

    def forward(self, x):
        h = self.norm(x)
        x = x + self.attention(h, h, h)[0]
        return x + self.last(self.down(torch.relu(self.up(x))))


class Model(nn.Module):
    """Embedding, convolution, recurrence, attention, a norm with buffers, a tied head."""

    def __init__(self, width=10):
        super().__init__()
        self.embedding = nn.Embedding(23, width, padding_idx=1)
        self.convolution = nn.Conv1d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm1d(width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))
        self.head = nn.Linear(width, 23, bias=False)

    def forward(self, tokens):
        x = self.embedding(tokens).mT
        x = torch.tanh(self.norm(self.convolution(x))).mT
        x, _ = self.lstm(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def check_tensors(mesh):
    """Every tensor-level function, sharded on every dimension, against the whole tensor."""
    for method in init.METHODS:
        name, options = method.names[0], OPTIONS.get(method.names[0], {})
        shape = (8, 4, 3, 3) if name in CONVOLUTIONAL else (12, 7)
        for placement in [Replicate(), *map(Shard, range(2))]:
            whole, parts = torch.empty(shape), torch.empty(shape)
            sharded = distribute_tensor(parts, mesh, [placement])
            for tensor in (whole, sharded):
                torch.manual_seed(3)
                assert method.tensor(tensor, **options) is tensor
            assert torch.equal(sharded.full_tensor(), whole), (name, placement)


def check_models(mesh):
    """Meta device, sharded, given memory, initialized: as in one process, for each recipe."""
    for recipe in init.RECIPES:
        plain = Model()
        init.initialize_(plain, recipe, seed=7)
        with torch.device("meta"):
            model = Model()
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        model.to_empty(device="cpu")
        peak = watch_full_copies(lambda m=model, r=recipe: init.initialize_(m, r, seed=7))
        expected = plain.state_dict()
        for name, tensor in model.state_dict().items():
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            assert torch.equal(full, expected[name]), (recipe, name)
        assert peak <= 1, (recipe, peak)


def watch_full_copies(function):
    """Return the most full-sized tensors that were being written at once."""
    now = most = 0
    original = streams.write_shards_

    def counted(*args, **options):
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return original(*args, **options)
        finally:
            now -= 1

    streams.write_shards_ = counted
    try:
        function()
    finally:
        streams.write_shards_ = original
    return most


def check_columns(mesh):
    """A tensor larger than a block, sharded by rows and by columns, elementwise and whole."""
    for law, dimension in itertools.product(("normal_", "orthogonal_"), (0, 1)):
        plain = nn.Linear(700, 300, bias=False)
        model = nn.Linear(700, 300, bias=False)
        sharded = distribute_tensor(model.weight.detach(), mesh, [Shard(dimension)])
        model.weight = nn.Parameter(sharded)
        for module in (plain, model):
            init.initialize_(module, [init.Rule("weight", law)], seed=1)
        assert torch.equal(model.weight.full_tensor(), plain.weight), (law, dimension)


if __name__ == "__main__":
    dist.init_process_group("gloo")
    try:
        everyone = init_device_mesh("cpu", (dist.get_world_size(),))
        for check in (check_tensors, check_columns, check_models):
            check(everyone)
    finally:
        dist.destroy_process_group()
