"""Values depend on the seed, the name and the position alone."""

import pytest
import torch
from plans import drawn, same, state
from torch import nn
from zoo import Plain, encoder

import initguide as init
from initguide.model import seeding


class Two(nn.Module):
    def __init__(self, *, turned=False, more=False):
        super().__init__()
        layers = [("a", nn.Linear(300, 400)), ("c", nn.Conv2d(4, 6, 3)), ("g", nn.LSTM(6, 8))]
        for name, layer in layers[:: -1 if turned else 1]:
            self.add_module(name, layer)
        if more:
            self.extra = nn.Linear(5, 5)


@pytest.mark.parametrize("recipe", ["auto", "torch", "orthogonal"])
def test_values_do_not_depend_on_other_layers_or_their_order(recipe):
    plain = drawn(Two(), recipe)
    assert same(plain, {name: drawn(Two(turned=True), recipe)[name] for name in plain})
    assert same(plain, {name: drawn(Two(more=True), recipe)[name] for name in plain})
    assert not torch.equal(plain["a.weight"], drawn(Two(), recipe, seed=1)["a.weight"])


def test_values_depend_on_the_name():
    model = nn.ModuleDict({"a": nn.Linear(9, 9), "b": nn.Linear(9, 9)})
    values = drawn(model)
    assert not torch.equal(values["a.weight"], values["b.weight"])


@pytest.mark.parametrize("recipe", ["auto", "torch", "orthogonal"])
def test_values_do_not_depend_on_memory_layout(recipe):
    plain, turned = Two(), Two()
    turned.to(memory_format=torch.channels_last)
    # New memory could hold what looks like a start that its author chose, which "auto" keeps.
    turned.a.weight = nn.Parameter(torch.randn(300, 400).T)
    assert not turned.a.weight.is_contiguous()
    assert not turned.c.weight.is_contiguous()
    assert same(drawn(plain, recipe), drawn(turned, recipe))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("recipe", ["auto", "torch", "orthogonal"])
def test_half_precision_is_float32_rounded(recipe, dtype):
    single, half = drawn(Two(), recipe), drawn(Two().to(dtype), recipe)
    # torch's own samplers may round a number beside the bound of a uniform distribution inward.
    for name, value in half.items():
        torch.testing.assert_close(value, single[name].to(dtype), msg=name)


def test_the_values_in_a_large_parameter_do_not_depend_on_its_size():
    # Blocks of 65 536: the first rows of a taller matrix are those of a shorter one.
    short, tall = (drawn(nn.Sequential(nn.Embedding(n, 256)))["0.weight"] for n in (512, 1024))
    assert torch.equal(short[:256], tall[:256])


def test_without_a_seed_the_global_state_decides_by_one_draw():
    model = Plain()
    torch.manual_seed(5)
    init.initialize_(model)
    one, after = state(model), torch.get_rng_state()
    torch.manual_seed(5)
    seed = int(torch.randint(2**62, ()).item())
    assert torch.equal(after, torch.get_rng_state())
    init.initialize_(model, seed=seed)
    assert same(one, state(model))
    assert torch.equal(after, torch.get_rng_state())
    init.initialize_(model)
    assert not torch.equal(one["fc1.weight"], model.fc1.weight)


def test_copied_encoder_layers_get_different_values():
    model = encoder()
    assert torch.equal(model.layers[0].linear1.weight, model.layers[1].linear1.weight)
    init.initialize_(model, seed=0)
    assert not torch.equal(model.layers[0].linear1.weight, model.layers[1].linear1.weight)


def test_values_do_not_depend_on_the_number_of_threads():
    before, drawings = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            # More than one block for each thread, and a last one that is not full.
            model = nn.Sequential(nn.Linear(1000, 701), nn.Tanh(), nn.Linear(701, 1200))
            rules = [init.Rule("2.weight", "truncated_normal_", std=0.1), "auto"]
            drawings.append(drawn(model, rules))
    finally:
        torch.set_num_threads(before)
    assert same(drawings[0], drawings[1])
    assert same(drawings[0], drawings[2])


class Held:
    """Some rows of a full tensor, as one of several processes holds them."""

    def __init__(self, full, rows):
        self.full, self.rows, self.local = (
            full,
            rows,
            torch.zeros_like(full[rows.start : rows.stop]),
        )

    def detach(self):
        return self

    def numel(self):
        return self.full.numel()

    def to_local(self):
        return self.local


@pytest.mark.parametrize(
    ("start", "stop", "blocks"),
    # Of 1000 rows of 200 values, a block of 65536 values ends in row 327, 655 and 983.
    [
        (0, 1000, [0, 1, 2, 3]),
        (0, 250, [0]),
        (250, 500, [0, 1]),
        (500, 990, [1, 2, 3]),
        (984, 1000, [3]),
        (300, 900, [0, 1, 2]),
        (400, 401, [1]),
        (1000, 1000, []),
    ],
)
def test_a_process_draws_the_blocks_of_its_rows(monkeypatch, start, stop, blocks):
    drawn_blocks = []

    def draw_(part, generator):
        drawn_blocks.append(generator.initial_seed())
        part.normal_(generator=generator)

    full = torch.empty(1000, 200)
    seeding.draw_by_blocks_(full, draw_, 0, "w")
    numbers = {seed: number for number, seed in enumerate(drawn_blocks)}
    drawn_blocks.clear()
    held = Held(full, range(start, stop))
    monkeypatch.setattr(seeding, "is_sharded", lambda tensor: isinstance(tensor, Held))
    monkeypatch.setattr(seeding, "rows_held", lambda tensor: tensor.rows)
    seeding.draw_by_blocks_(held, draw_, 0, "w")
    assert torch.equal(held.local, full[start:stop])
    assert [numbers[seed] for seed in drawn_blocks] == blocks
