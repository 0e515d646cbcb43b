"""Run by test_ranks.py: what each of several processes holds must be its part of the whole."""

import functools
import itertools
import re
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

import initguide as init
from initguide.model import seeding

sys.path.append(str(Path(__file__).parents[1]))
from code_base_models import FAMILIES, make
from method_models import METHODS, Adapted

# The models of recipes that are for one family, with the options of the recipe.
BUILT = {
    recipe: (partial(make, family, 64, 2), options)
    for recipe, (family, options) in FAMILIES.items()
}
BUILT |= {recipe: (build, options) for recipe, (build, options, *_) in METHODS.items()}
# New memory holds no values to keep.
OF_ANY_MODEL = [name for name in init.RECIPES if name != "keep" and name not in BUILT]
OPTIONS = {
    "constant_": {"val": 0.5},
    "sparse_": {"sparsity": 0.5},
    "sparse_incoming_": {"connections": 3},
}
CONVOLUTIONAL = {"dirac_", "delta_orthogonal_", "icnr_"}


class Block(nn.Module):
    """A residual block with attention, so that every recipe fits it."""

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


@functools.cache
def whole_model(recipe):
    model = Model()
    init.initialize_(model, recipe, seed=7)
    return model.state_dict()


def check_models(mesh):
    """Each recipe fills a sharded model from the meta device as it fills a model in one process."""
    for recipe in OF_ANY_MODEL:
        with torch.device("meta"):
            model = Model()
        for block in model.blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        model.to_empty(device="cpu")
        peak = watch_full_copies(lambda m=model, r=recipe: init.initialize_(m, r, seed=7))
        expected = whole_model(recipe)
        for name, tensor in model.state_dict().items():
            full = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            assert torch.equal(full, expected[name]), (recipe, name)
        assert peak <= 1, (recipe, peak)


@functools.cache
def whole_family(recipe):
    """Return the parameters that a recipe draws for its family, in one process."""
    build, options = BUILT[recipe]
    model = build()
    plan = init.initialize_(model, recipe, seed=7, **options)
    drawn = {e.param.name for e in plan.entries if not e.sampler.keeps_values}
    return {name: each for name, each in model.named_parameters() if name in drawn}


def check_families(mesh):
    """Each recipe fills a sharded model of its family as in one process."""
    for recipe, (build, options) in BUILT.items():
        with torch.device("meta"):
            model = build()
        fully_shard(model, mesh=mesh)
        model.to_empty(device="cpu")
        init.initialize_(model, recipe, seed=7, **options)
        parts = dict(model.named_parameters())
        for name, expected in whole_family(recipe).items():
            assert torch.equal(parts[name].full_tensor(), expected), (recipe, name)


def check_adapters(mesh):
    """The first factor of an adapter, split by inputs or outputs, has the std of the whole."""
    plain = Adapted()
    init.initialize_(plain, "lora", seed=7)
    for placement in (Replicate(), Shard(0), Shard(1)):
        model = Adapted()
        for layer in (model.lora_A, model.lora_B):
            layer.weight = nn.Parameter(distribute_tensor(layer.weight.detach(), mesh, [placement]))
        init.initialize_(model, "lora", seed=7)
        assert torch.equal(model.lora_A.weight.full_tensor(), plain.lora_A.weight), placement
        assert not model.lora_B.weight.full_tensor().any(), placement


def check_replicas(mesh):
    """An audit with ranks finds values that one process alone holds."""
    last = dist.get_world_size() - 1
    for model in (signals(), DistributedDataParallel(signals()), sharded(mesh)):
        init.initialize_(model, "kaiming", seed=1)
        assert init.audit(model, "kaiming", ranks=True).ok
        before = init.audit(model, "kaiming", ranks=True).rows
        named = (model.module if hasattr(model, "module") else model).head.bias
        if last and dist.get_rank() == last and not isinstance(named, DTensor):
            named.detach()[0] = 1e-3
        kinds = [(f.kind, f.where) for f in init.audit(model, "kaiming", ranks=True).findings]
        is_split = last and not isinstance(named, DTensor)
        assert (("replicas differ", "head.bias") in kinds) == bool(is_split), kinds
        assert len(before) == len([*model.parameters()])
    copies = nn.Linear(9, 8)
    init.initialize_(copies, "kaiming", seed=1)
    copies.weight = nn.Parameter(distribute_tensor(copies.weight.detach(), mesh, [Replicate()]))
    copies.weight.to_local().detach().mul_(1 + dist.get_rank())
    found = init.audit(copies, ["kaiming", "keep"], ranks=True).findings
    assert ("replicas differ" in {each.kind for each in found}) == bool(last)


def watch_full_copies(function):
    """Return the most full-sized tensors that were being written at once."""
    now = most = 0
    original = seeding.write_shards_

    def counted(*args, **options):
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return original(*args, **options)
        finally:
            now -= 1

    seeding.write_shards_ = counted
    try:
        function()
    finally:
        seeding.write_shards_ = original
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


def check_seeds_agree(mesh):
    """Without a seed, all processes draw what the first one draws, in a wrapper or sharded."""
    plain, x = signals(), torch.randn(26, 6, 9, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    init.initialize_(plain, keep_deliberate=False)
    sharded = signals()
    fully_shard(sharded, mesh=mesh)
    compiled = torch.compile(signals(), backend="eager")
    for model in (signals(), DistributedDataParallel(signals()), sharded, compiled):
        torch.manual_seed(dist.get_rank())
        init.initialize_(model, keep_deliberate=False)
        for name, parameter in whole(model).items():
            name = name.removeprefix("module.").removeprefix("_orig_mod.")
            assert torch.equal(parameter, plain.get_parameter(name)), name
    # Inside and outside of a wrapper, the variances are those of the whole batch.
    model = torch.compile(DistributedDataParallel(signals()), backend="eager")
    for each in (model, plain):
        init.initialize_(each, seed=3, keep_deliberate=False)
    init.lsuv_(model, own_part(x), generator=torch.Generator().manual_seed(0))
    init.lsuv_(plain, x, generator=torch.Generator().manual_seed(0))
    for one, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


class Signals(nn.Module):
    """Convolution, attention, a block that runs twice and out of order, biases that count."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(12, 5)
        self.convolution = nn.Conv1d(6, 12, 3)
        self.again = nn.Sequential(nn.Linear(12, 12), nn.GELU())
        self.attention = nn.MultiheadAttention(12, 2, batch_first=True)
        self.bias_free = nn.Linear(12, 12, bias=False)

    def forward(self, x):
        x = torch.relu(self.convolution(x)).mT
        x = self.again(self.again(x))
        x = self.attention(x, x, x)[0]
        return self.head(torch.relu(self.bias_free(x)))


def signals():
    model = Signals()
    source = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        init.normal_(parameter, std=0.3, generator=source)
    return model


def sharded(mesh, **options):
    model = signals()
    blocks = [model.convolution, model.again, model.attention, model.bias_free]
    for block in blocks:
        fully_shard(block, mesh=mesh, **options)
    fully_shard(model, mesh=mesh, **options)
    for one, other in itertools.pairwise(blocks):
        one.set_modules_to_forward_prefetch([other])
    return model


def spread(mesh):
    """Yield a model in each way of spreading it over the processes."""
    yield DistributedDataParallel(signals())
    yield sharded(mesh)
    yield sharded(mesh, reshard_after_forward=False)
    if dist.get_world_size() == 4:
        yield sharded(init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "shards")))


def whole(model):
    """Return the parameters in full, by the names that they have in one process."""
    return {
        name.removeprefix("module."): (
            (p.full_tensor() if isinstance(p, DTensor) else p).detach().clone()
        )
        for name, p in model.named_parameters()
    }


def own_part(x):
    """Return the part of a batch that is here; the parts differ in size."""
    return x.tensor_split(dist.get_world_size())[dist.get_rank()]


def check_lsuv(mesh):
    """Scaled as one process would scale by the whole batch, and then used with those weights."""
    x = 3 * torch.randn(26, 6, 9, generator=torch.Generator().manual_seed(2)) + 1
    for options in ({}, {"measure_at": "post"}, {"orthonormal": False}):
        plain = signals()
        biases = {n: p.clone() for n, p in plain.named_parameters() if "bias" in n.split(".")[-1]}
        expected = init.lsuv_(plain, x, generator=torch.Generator().manual_seed(3), **options)
        for model in spread(mesh):
            source = torch.Generator().manual_seed(3)
            report = init.lsuv_(model, own_part(x), generator=source, **options)
            assert [row["layer"] for row in report.rows] == [r["layer"] for r in expected.rows]
            assert [row["note"] for row in report.rows] == [row["note"] for row in expected.rows]
            rows = [None] * dist.get_world_size()
            dist.all_gather_object(rows, report.rows)
            assert all(each == rows[0] for each in rows), rows
            ours = whole(model)
            for name, parameter in plain.named_parameters():
                torch.testing.assert_close(ours[name], parameter, atol=1e-5, rtol=1e-5)
            assert all(torch.equal(ours[name], biases[name]) for name in biases)
            hooks = [len(m._forward_hooks) for m in model.modules()]
            with torch.no_grad():
                torch.testing.assert_close(model(own_part(x)), plain(own_part(x)))
            assert hooks == [len(m._forward_hooks) for m in model.modules()]


def check_lsuv_seeds(mesh):
    """Without a generator the first process's random state decides; unequal ones are refused."""
    x = torch.randn(26, 6, 9, generator=torch.Generator().manual_seed(2))
    plain = signals()
    torch.manual_seed(0)
    init.lsuv_(plain, x)
    for model in itertools.islice(spread(mesh), 2):
        torch.manual_seed(dist.get_rank())
        init.lsuv_(model, own_part(x))
        for name, parameter in whole(model).items():
            torch.testing.assert_close(parameter, plain.get_parameter(name), atol=1e-5, rtol=1e-5)
        if dist.get_world_size() > 1:
            source = torch.Generator().manual_seed(dist.get_rank())
            must_fail(model, [own_part(x)], "generator must be in the same state", source)


def must_fail(model, inputs, message, source=None, **options):
    """Assert that every process raises, and that neither weights nor the next pass change."""
    before, x = whole(model), torch.ones(2, 6, 9)
    with torch.no_grad():
        output = model(x)
    with pytest.raises((ValueError, RuntimeError), match=re.escape(message)):
        init.lsuv_(model, *inputs, generator=source, **options)
    for name, value in whole(model).items():
        assert torch.equal(value, before[name]), (message, name)
    with torch.no_grad():
        assert torch.equal(model(x), output), message


def check_lsuv_errors(mesh):
    """An error in the last process, or one that all find in the middle, ends all of them."""
    last = dist.get_rank() == dist.get_world_size() - 1
    x = torch.randn(4, 6, 9, generator=torch.Generator().manual_seed(dist.get_rank()))
    infinite, nan = x.clone(), x.clone()
    if last:
        infinite[0, 0, 0], nan[0, 0, 0] = torch.inf, torch.nan
    for model in spread(mesh):
        must_fail(model, [infinite], "layer 'convolution' must have a finite output")
        must_fail(model, [nan], "no NaN; got 1" if last else "every process must run the model")
        if isinstance(model, FSDPModule):
            model.reshard()
        head = (model.module if hasattr(model, "module") else model).head.weight
        (head.to_local() if isinstance(head, DTensor) else head).detach().zero_()
        must_fail(model, [x], "layer 'head' must vary over the batch", orthonormal=False)
    # Only one process fails, in its own forward, while the others are in the middle of theirs.
    model = DistributedDataParallel(signals())
    wrong = x[:, :5] if last else x
    must_fail(model, [wrong], "channels" if last else "every process must run the model")


def check_lsuv_refusals(mesh):
    """FSDP cannot pass on parametrizations, and tensor parallelism is no data parallelism."""
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(9, 8)))
    fully_shard(model, mesh=mesh)
    refused(model, "layer '0' must not be parametrized in a sharded model; got ['_WeightNorm']")
    model = nn.Linear(9, 8)
    model.weight = nn.Parameter(distribute_tensor(model.weight.detach(), mesh, [Shard(0)]))
    model.bias = nn.Parameter(distribute_tensor(model.bias.detach(), mesh, [Shard(0)]))
    refused(model, "layer 'model' must run on a whole weight; got a DTensor")


def refused(model, message):
    before = whole(model)
    with pytest.raises(ValueError, match=re.escape(message)):
        init.lsuv_(model, torch.ones(4, 9))
    assert all(torch.equal(value, before[name]) for name, value in whole(model).items())


CHECKS = (
    check_tensors,
    check_columns,
    check_models,
    check_families,
    check_adapters,
    check_replicas,
    check_seeds_agree,
    check_lsuv,
    check_lsuv_seeds,
    check_lsuv_errors,
    check_lsuv_refusals,
)


def run(rank, ranks, folder):
    """Run all checks in one of some processes."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/{ranks}", rank=rank, world_size=ranks
    )
    everyone = init_device_mesh("cpu", (ranks,))
    for check in CHECKS:
        check(everyone)
    dist.destroy_process_group()


if __name__ == "__main__":
    # The processes are forks, so that imports and what one process gives are made once.
    for recipe in BUILT:
        whole_family(recipe)
    for recipe in OF_ANY_MODEL:
        whole_model(recipe)
    with tempfile.TemporaryDirectory() as folder:
        for ranks in (1, 2, 4):
            torch.multiprocessing.start_processes(
                run, (ranks, folder), nprocs=ranks, start_method="fork"
            )
