"""The role that one parameter has in one forward."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from initguide.graph.trace import trace

WIDTH = 6


class Reads(nn.Module):
    """A forward of a signal `x`, a parameter `w` and the integers `ids`."""

    def __init__(self, run, *shape):
        super().__init__()
        self.w = nn.Parameter(torch.ones(shape))
        self.other = nn.Parameter(torch.ones(WIDTH, WIDTH))
        self.vector = nn.Parameter(torch.ones(WIDTH))
        self.run = run

    def forward(self, x, ids):
        return self.run(self, x, self.w, ids)


def role_of(run, *shape):
    return trace(Reads(run, *shape)).roles["w"]


MATRIX, VECTOR, ONE = (WIDTH, WIDTH), (WIDTH,), (1,)
KINDS = {
    "a layer": (lambda m, x, w, i: F.linear(x, w), MATRIX, "weight"),
    "a layer by name": (lambda m, x, w, i: F.linear(x, weight=w), MATRIX, "weight"),
    "the bias of a layer": (lambda m, x, w, i: F.linear(x, m.other, w), VECTOR, "shift"),
    "the input of a layer": (lambda m, x, w, i: x + F.linear(w, m.other), VECTOR, "table"),
    "the bias of a convolution": (
        lambda m, x, w, i: F.conv1d(x, m.other[..., None], w),
        VECTOR,
        "shift",
    ),
    "a product": (lambda m, x, w, i: x @ w, MATRIX, "weight"),
    "a product with a vector": (lambda m, x, w, i: x @ w, VECTOR, "weight"),
    "what a product is added to": (lambda m, x, w, i: torch.addmm(w, x, m.other), VECTOR, "shift"),
    "a product that is added": (lambda m, x, w, i: torch.addmm(m.vector, x, w), MATRIX, "weight"),
    "a sum": (lambda m, x, w, i: x + w, VECTOR, "shift"),
    "a sum with a matrix": (lambda m, x, w, i: x + w, MATRIX, "table"),
    "a sum with a row": (lambda m, x, w, i: x + w, (1, WIDTH), "shift"),
    "a difference": (lambda m, x, w, i: x - w, VECTOR, "shift"),
    "numbers that are looked up": (lambda m, x, w, i: x + w[i], VECTOR, "table"),
    "looked up and moved": (lambda m, x, w, i: x + w[i].unsqueeze(-1).float(), VECTOR, "table"),
    "a part of a vector": (lambda m, x, w, i: x + w[:3], VECTOR, "shift"),
    "a factor": (lambda m, x, w, i: x * w, VECTOR, "scale"),
    "a quotient": (lambda m, x, w, i: x / w, VECTOR, "scale"),
    "a factor of one number": (lambda m, x, w, i: w * x, ONE, "scale"),
    "a mask of attention": (
        lambda m, x, w, i: F.scaled_dot_product_attention(x, x, x, w),
        ONE,
        "shift",
    ),
    "a mask by name": (
        lambda m, x, w, i: F.scaled_dot_product_attention(x, x, x, attn_mask=w),
        ONE,
        "shift",
    ),
    "a matrix as a mask": (
        lambda m, x, w, i: F.scaled_dot_product_attention(x, x, x, w),
        MATRIX,
        "table",
    ),
    "keys": (lambda m, x, w, i: F.scaled_dot_product_attention(x, w, x), ONE, "table"),
    "an affine map, added": (lambda m, x, w, i: torch.addcmul(w, x, m.vector), VECTOR, "shift"),
    "an affine map, first": (lambda m, x, w, i: torch.addcmul(x, w, x), VECTOR, "scale"),
    "an affine map, second": (lambda m, x, w, i: torch.addcmul(x, x, w), VECTOR, "scale"),
    "a join": (lambda m, x, w, i: torch.cat([x, w]), VECTOR, "table"),
    "the logarithm of a scale": (lambda m, x, w, i: x * w.exp(), VECTOR, "kept"),
    "a function of a matrix": (lambda m, x, w, i: x * w.exp(), MATRIX, "unknown"),
    "a function that is added": (lambda m, x, w, i: x + w.exp(), VECTOR, "unknown"),
    "another function": (lambda m, x, w, i: torch.atan2(x, w), VECTOR, "unknown"),
    "an output": (lambda m, x, w, i: (x, w), VECTOR, "kept"),
    "a normalized weight": (lambda m, x, w, i: x @ F.normalize(w), MATRIX, "weight"),
    "the gain of a weight": (lambda m, x, w, i: F.linear(x, m.other * w), (WIDTH, 1), "scale"),
    "one half of a weight": (lambda m, x, w, i: F.linear(x, m.other + w), MATRIX, "weight"),
    "a weight that the signal scales": (
        lambda m, x, w, i: F.linear(x, (w * x.mean()).view(WIDTH, -1)),
        MATRIX,
        "weight",
    ),
    "a matrix of factors": (lambda m, x, w, i: (x * w).relu(), MATRIX, "scale"),
    "a vector beside a weight": (
        lambda m, x, w, i: F.linear(x, (w * x.mean()).expand(WIDTH, -1)),
        VECTOR,
        "scale",
    ),
    "a sum, then a product": (lambda m, x, w, i: (x + w) * w, VECTOR, "shift"),
    "a product, then a sum": (lambda m, x, w, i: x * w + w, VECTOR, "shift"),
    "a layer, then a sum": (lambda m, x, w, i: F.linear(x, w) + w, MATRIX, "weight"),
    "a layer, then another function": (
        lambda m, x, w, i: torch.atan2(F.linear(x, w), w),
        MATRIX,
        "weight",
    ),
    "a factor, then another function": (
        lambda m, x, w, i: torch.atan2(x * w, w),
        VECTOR,
        "unknown",
    ),
}


@pytest.mark.parametrize(("run", "shape", "kind"), KINDS.values(), ids=KINDS)
def test_the_operation_that_reads_a_parameter_gives_its_role(run, shape, kind):
    assert role_of(run, *shape).kind == kind


LAYOUTS = {
    "a layer": (lambda m, x, w: F.linear(x, w), "out_in", 1),
    "after the signal": (lambda m, x, w: x @ w, "in_out", 1),
    "before the signal": (lambda m, x, w: w @ x, "out_in", 1),
    "transposed": (lambda m, x, w: x @ w.T, "out_in", 1),
    "transposed twice": (lambda m, x, w: x @ w.T.mT, "in_out", 1),
    "transposed by axes": (lambda m, x, w: w.transpose(0, 1) @ x, "in_out", 1),
    "the last axes of both": (lambda m, x, w: torch.inner(x, w), "out_in", 1),
    "added": (lambda m, x, w: torch.addmm(m.vector, x, w), "in_out", 1),
    "added, before the signal": (lambda m, x, w: torch.addmm(m.vector, w, x), "out_in", 1),
    "a factor": (lambda m, x, w: x @ (3 * w), "in_out", 3),
    "two factors": (lambda m, x, w: x @ (3 * w / 2).T, "out_in", 1.5),
    "the opposite": (lambda m, x, w: F.linear(x, -(w * 4)), "out_in", -4),
    "the opposite, moved": (lambda m, x, w: F.linear(x, (-w).contiguous()), "out_in", -1),
    "a function": (lambda m, x, w: F.linear(x, w.view(6, 6)), "out_in", 1),
    "the first use": (lambda m, x, w: F.linear(x @ (2 * w), w), "in_out", 2),
    "the first of two alike": (lambda m, x, w: (x @ w.T) @ (5 * w), "out_in", 1),
}


@pytest.mark.parametrize(("run", "layout", "factor"), LAYOUTS.values(), ids=LAYOUTS)
def test_a_product_gives_the_order_of_axes_and_the_factor(run, layout, factor):
    role = role_of(lambda m, x, w, i: run(m, x, w), *MATRIX)
    assert (role.kind, role.layout, role.factor) == ("weight", layout, factor)


PRODUCTS = {
    # In x (A B) the first matrix reads the signal, in x (A B)' the second.
    "first": (lambda m, x, w: x @ (w @ m.other), "matmul", 1.0),
    "second": (lambda m, x, w: x @ (3 * (m.other @ w)), "matmul_1", 3.0),
    "first, turned": (lambda m, x, w: F.linear(x, 3 * (w @ m.other)), "linear", 3.0),
    "second, turned": (lambda m, x, w: F.linear(x, 3 * (m.other @ w)), "matmul", 1.0),
    "itself turned": (lambda m, x, w: F.linear(x, 3 * (m.other @ w.T)), "matmul", 1.0),
    "three": (lambda m, x, w: x @ ((w @ m.other) @ m.other), "matmul", 1.0),
}


@pytest.mark.parametrize(("run", "node", "factor"), PRODUCTS.values(), ids=PRODUCTS)
def test_of_two_matrices_that_make_a_weight_one_reads_the_signal(run, node, factor):
    role = role_of(lambda m, x, w, i: run(m, x, w), *MATRIX)
    assert (role.kind, str(role.node), role.factor) == ("weight", node, factor)
    assert str(role.product) == "matmul"


def test_a_parameter_has_all_nodes_that_use_it_alike():
    role = role_of(lambda m, x, w, i: F.linear(F.linear(x, w), w) + w, *MATRIX)
    assert [str(node) for node in role.nodes] == ["linear", "linear_1"]
    unknown = role_of(lambda m, x, w, i: torch.atan2(torch.hypot(x, w), w), *VECTOR)
    assert (unknown.operation, unknown.nodes) == ("hypot, atan2", ())


def test_a_parameter_of_which_only_the_shape_is_read_has_no_role():
    assert "w" not in trace(Reads(lambda m, x, w, i: x * w.shape[0], WIDTH)).roles


def test_a_parameter_with_two_names_has_a_role_by_the_name_that_the_forward_reads():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(7, WIDTH)
            self.head = self.table.weight

        def forward(self, ids):
            return F.linear(self.table(ids), self.head)

    found = trace(Tied())
    assert found.roles["head"].kind == "weight"
    assert found.layer("head").last
