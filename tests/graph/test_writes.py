"""What a forward writes in place belongs to the path from its layers to its output."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initguide.graph.trace import trace

WIDTH, COUNT, EACH = 256, 3, 384


def added(module, x, chosen):
    """Add the output of each expert to rows of zeros."""
    flat = x.flatten(0, 1)
    out = torch.zeros_like(flat)
    for index in range(COUNT):
        rows = torch.where(chosen.flatten() == index)[0]
        out.index_add_(0, rows, module.expert(index, flat[rows]))
    return out.view_as(x)


def from_sizes(module, x, chosen):
    """Add to zeros of a size that the forward computes, as many published models do."""
    batch, length, width = x.shape
    flat = x.reshape(-1, width)
    out = torch.zeros((batch * length, width), dtype=x.dtype, device=x.device)
    for index in range(COUNT):
        (rows,) = torch.where(chosen.reshape(-1) == index)
        out.index_add_(0, rows, module.expert(index, flat[rows]).to(x.dtype))
    return out.reshape(batch, length, width)


def assigned(module, x, chosen):
    """Assign to the places of a mask, in a tensor that the forward made."""
    out = torch.empty(*x.shape)
    for index in range(COUNT):
        out[chosen == index] = module.expert(index, x[chosen == index])
    return out


def scattered(module, x, chosen):
    total = x.new_zeros(x.shape)
    for index in range(COUNT):
        y = module.expert(index, x)
        total.scatter_add_(1, chosen.unsqueeze(-1).expand_as(y), y)
    return total


def in_place_sum(module, x, chosen):
    total = torch.zeros(x.shape)
    for index in range(COUNT):
        total += module.expert(index, x) * (chosen == index).unsqueeze(-1)
    return total


class Experts(nn.Module):
    def __init__(self, combine):
        super().__init__()
        self.combine = combine
        self.choose = nn.Linear(WIDTH, COUNT)
        self.rise = nn.Parameter(torch.randn(COUNT, EACH, WIDTH) * WIDTH**-0.5)
        self.fall = nn.Parameter(torch.randn(COUNT, WIDTH, EACH) * EACH**-0.5)

    def expert(self, index, x):
        return F.linear(F.silu(F.linear(x, self.rise[index])), self.fall[index])

    def forward(self, x):
        return self.combine(self, x, self.choose(x).argmax(-1))


class Layer(nn.Module):
    def __init__(self, combine):
        super().__init__()
        self.before, self.inner = nn.LayerNorm(WIDTH), Experts(combine)

    def forward(self, x):
        return x + self.inner(self.before(x))


@pytest.mark.parametrize("on_data", [False, True], ids=["proxies", "data"])
@pytest.mark.parametrize("combine", [added, from_sizes, assigned, scattered, in_place_sum])
def test_experts_that_are_written_to_a_tensor_end_their_branch(combine, on_data):
    model = nn.Sequential(nn.Linear(32, WIDTH), *(Layer(combine) for _ in range(2)))
    found = trace(model, torch.randn(2, 5, 32) if on_data else None)
    assert [prefix for prefix, _ in found.graphs] == [""]
    assert found.branch_count == 2
    ends = [name for name, info in found.layers.items() if info.ends]
    assert ends == ["1.inner.fall", "2.inner.fall"]
    assert found.layer("1.inner.rise").label == "silu"


IN_PLACE = {
    "a method": lambda x: x.relu_(),
    "a function": torch.relu_,
    "an option": lambda x: F.relu(x, inplace=True),
    "a module": nn.ReLU(inplace=True),
    "a product": lambda x: x.mul_(x > 0),
    "an assignment": lambda x: x.__setitem__(slice(None), torch.relu(x)),
}


class Clipped(nn.Module):
    """A forward that bounds the weights before it uses them."""

    def __init__(self, bound):
        super().__init__()
        self.layer, self.own = nn.Linear(WIDTH, 300), nn.Parameter(torch.randn(10, 300))
        self.bound = bound

    def forward(self, x):
        return F.relu(self.bound(self, self.layer, self.own, x))


def in_data(model, layer, own, x):
    layer.weight.data.clamp_(-1, 1)
    own.data.clamp_(min=-1)
    return F.linear(layer(x), own)


def on_the_way(model, layer, own, x):
    return F.linear(x, layer.weight.clamp(-1, 1)) @ torch.clip(own, max=1).T


@pytest.mark.parametrize("on_data", [False, True], ids=["proxies", "data"])
@pytest.mark.parametrize("bound", [in_data, on_the_way])
def test_a_bound_on_a_weight_leaves_its_role(bound, on_data):
    found = trace(Clipped(bound), torch.randn(4, WIDTH) if on_data else None)
    assert found.roles["own"].kind == "weight"
    layer = found.layer("layer" if bound is in_data else "layer.weight")
    assert (layer.label, found.layer("own").label) == ("linear", "relu")


@pytest.mark.parametrize("on_data", [False, True], ids=["proxies", "data"])
@pytest.mark.parametrize("change", IN_PLACE.values(), ids=IN_PLACE)
def test_an_activation_in_place_follows_if_its_result_is_not_used(change, on_data):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.leave = nn.Linear(WIDTH, 300), nn.Linear(300, 10)
            self.change = change

        def forward(self, x):
            hidden = self.enter(x)
            self.change(hidden)
            return self.leave(hidden)

    found = trace(Model(), torch.randn(4, WIDTH) if on_data else None)
    assert found.layer("enter").label == "relu"
    assert found.layer("enter").note == ""
