"""The networks and initializations of the experiments."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import initguide as init
from initguide.experiments import INITIALIZATIONS, mlp
from initguide.experiments.convolutional import convolutions
from initguide.experiments.residual import residual
from initguide.experiments.transformer import transformer

pytestmark = pytest.mark.usefixtures("random_states_kept")

WIDTHS = (64, 30, 30, 10)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_mlp_is_the_network_torch_would_make():
    state = torch.get_rng_state()
    model = mlp(WIDTHS, nn.Tanh, layer_norm=True)
    torch.set_rng_state(state)
    twin = nn.Sequential(
        nn.Linear(64, 30), nn.LayerNorm(30), nn.Tanh(),
        nn.Linear(30, 30), nn.LayerNorm(30), nn.Tanh(),
        nn.Linear(30, 10),
    )  # fmt: skip
    torch.set_rng_state(state)
    assert repr(model) == repr(twin)
    for ours, torchs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, torchs)


@pytest.mark.parametrize("nonlinearity", ["tanh", torch.tanh, nn.Tanh, nn.Tanh()])
def test_mlp_takes_any_activation(nonlinearity):
    x = torch.randn(5, 64, generator=seeded())
    model = mlp(WIDTHS, nonlinearity, generator=seeded(1))
    expected = mlp(WIDTHS, nn.Tanh, generator=seeded(1))(x)
    assert torch.equal(model(x), expected)


def test_networks_without_settings_have_those_of_the_documentation():
    plain, by_hand = (
        mlp((64, 5, 10), generator=seeded(), **settings)
        for settings in ({}, {"nonlinearity": nn.ReLU, "layer_norm": False})
    )
    assert repr(plain) == repr(by_hand)
    stem, *_, head = residual("He", 2, 8, generator=seeded())
    assert (stem.in_features, head.out_features) == (64, 10)
    model = transformer("pre-LN", generator=seeded())
    assert len(model.blocks) == 12
    assert (model.tokens.weight.shape, model.positions.shape) == ((16, 16), (8, 16))
    assert {block.heads for block in model.blocks} == {2}


def test_each_layer_has_a_separate_activation_module():
    model = mlp(WIDTHS, nn.PReLU(), generator=seeded())
    assert model[1].weight is not model[3].weight


@pytest.mark.parametrize(
    ("name", "std", "bias"),
    [
        # fan_in is 300 and fan_out 1200. A uniform distribution has the std bound / sqrt(3).
        ("PyTorch default", 1 / math.sqrt(900), 1 / math.sqrt(900)),
        ("Xavier", math.sqrt(2 / 1500), 0),
        ("He", math.sqrt(2 / 300), 0),
        ("std 0.01", 0.01, 0),
        ("std 1.0", 1, 0),
    ],
)
def test_initializations_have_their_std_and_follow_the_generator(name, std, bias):
    layer = nn.Sequential(nn.utils.skip_init(nn.Linear, 300, 1200), nn.LayerNorm(1200))
    INITIALIZATIONS[name](layer, seeded())
    assert layer[0].weight.std().item() == pytest.approx(std, rel=0.01)
    assert layer[0].bias.std().item() == pytest.approx(bias, rel=0.05)
    assert (layer[1].weight == 1).all()
    first = layer[0].weight.clone()
    INITIALIZATIONS[name](layer, seeded())
    assert torch.equal(layer[0].weight, first)
    INITIALIZATIONS[name](layer, seeded(1))
    assert not torch.equal(layer[0].weight, first)


def test_the_five_initializations_have_a_fixed_order():
    assert list(INITIALIZATIONS) == ["PyTorch default", "Xavier", "He", "std 0.01", "std 1.0"]


def test_convolutions_have_the_kernels_of_their_initializers():
    """In delta-orthogonal kernels the middle tap is orthogonal, and all other taps are zero."""
    model = convolutions(3, 8, "tanh", init.delta_orthogonal_, generator=seeded())
    kernels = [layer.weight for layer in model if isinstance(layer, nn.Conv2d)]
    assert [tuple(kernel.shape) for kernel in kernels] == [(8, 1, 3, 3), *[(8, 8, 3, 3)] * 3]
    for kernel in kernels[1:]:
        middle = kernel[:, :, 1, 1]
        torch.testing.assert_close(middle @ middle.T, torch.eye(8), atol=1e-5, rtol=0)
        assert kernel.count_nonzero() == middle.count_nonzero()
    # 72 weights with LeCun's variance for a fan_in of 9.
    assert 0.2 < kernels[0].std().item() < 0.5
    assert model(torch.zeros(2, 64)).shape == (2, 10)


def test_residual_initializations_have_the_stds_of_their_papers():
    """By hand, width 64 and 32 blocks: He sqrt(2/64), the first layer of Fixup sqrt(2/64/32)."""
    he = 2**0.5 / 8
    expected = {
        "He": (he, he),
        "branch keeps its size": (1 / 8, he),
        "PyTorch default": (3**-0.5 / 8, 3**-0.5 / 8),
        "last / √(2N)": (he, he / 8),
        "last zero": (he, 0),
        "SkipInit": (he, he),
        "Fixup": (he / 32**0.5, 0),
    }
    x = torch.randn(7, 64, generator=seeded())
    for start, stds in expected.items():
        model = residual(start, 32, 64, generator=seeded(1))
        for layer, std in zip(("first", "last"), stds, strict=True):
            values = torch.stack([getattr(block, layer).weight for block in model[1:-1]])
            # 32 * 64 * 64 draws have a standard error of 0.2 %.
            assert values.square().mean().sqrt().item() == pytest.approx(std, rel=0.01)
        h = x
        for block in model[1:-1]:
            first, last = block.first, block.last
            branch = F.relu(F.linear(h, first.weight, first.bias))
            h = h + (start != "SkipInit") * F.linear(branch, last.weight, last.bias)
        torch.testing.assert_close(model[1:-1](x), h)
    fixup = residual("Fixup", 2, 8, generator=seeded())
    assert (fixup[-1].weight == 0).all()
    with pytest.raises(ValueError, match=r"start must be one of He, .*; got 'Hee'"):
        residual("Hee", 2, 8)
    with pytest.raises(ValueError, match="blocks, width, inputs and outputs must be positive; got"):
        residual("He", 0, 8)


@pytest.mark.parametrize("style", ["post-LN", "pre-LN"])
def test_a_transformer_block_is_the_encoder_layer_of_torch(style):
    model = transformer(style, width=16, depth=2, generator=seeded()).eval()
    block = model.blocks[0]
    twin = nn.TransformerEncoderLayer(
        16, 2, 64, 0.0, batch_first=True, norm_first=style == "pre-LN", device="meta"
    )
    twin.to_empty(device="cpu").eval()
    for norm, torchs in zip(block.norms, (twin.norm1, twin.norm2), strict=True):
        torchs.load_state_dict(norm.state_dict())
    with torch.no_grad():
        packed = torch.cat([block.query.weight, block.key.weight, block.value.weight])
        twin.self_attn.in_proj_weight.copy_(packed)
        twin.self_attn.in_proj_bias.zero_()
        twin.self_attn.out_proj.weight.copy_(block.out.weight)
        twin.self_attn.out_proj.bias.zero_()
        for ours, torchs in ((block.up, twin.linear1), (block.down, twin.linear2)):
            torchs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 7, 16, generator=seeded(1))
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    torch.testing.assert_close(block(x), twin(x, src_mask=mask), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("style", ["post-LN", "pre-LN", "no LN"])
def test_a_transformer_adds_positions_and_ends_pre_norm_streams_with_a_norm(style):
    model = transformer(style, tokens=6, positions=9, depth=2, generator=seeded())
    ids = torch.tensor([[2, 0, 5], [1, 1, 3]])
    h = model.tokens.weight.T[ids] + model.positions[:3]
    for block in model.blocks:
        h = block(h)
    h = F.layer_norm(h, (16,)) if style == "pre-LN" else h
    expected = F.linear(h, model.head.weight, model.head.bias)
    torch.testing.assert_close(model(F.one_hot(ids, 6).float()), expected)


def test_a_transformer_starts_with_streams_of_variance_one():
    model = transformer(
        "post-LN", tokens=100, positions=100, width=100, heads=5, depth=1, generator=seeded()
    )
    block = model.blocks[0]
    # Xavier's std is 1/10 for a square matrix, and sqrt(2 / 500) for the others. Ten thousand
    # draws have a standard error of 0.7 %.
    for weight, std in (
        (model.tokens.weight, 0.5**0.5),
        (model.positions, 0.5**0.5),
        (model.head.weight, 0.1),
        (block.query.weight, 0.1),
        (block.up.weight, 250**-0.5),
        (block.down.weight, 250**-0.5),
    ):
        assert weight.std().item() == pytest.approx(std, rel=0.03)
    for layer in (block.up, block.down, model.head):
        assert not layer.bias.any()
    assert block.query.bias is block.key.bias is block.value.bias is block.out.bias is None


def test_deepnorm_scales_the_weights_of_its_paper():
    """With 16 blocks alpha is 32 ** (1/4), and the weights are multiplied by 128 ** (-1/4)."""
    plain, deep = (
        transformer(style, depth=16, generator=seeded()).blocks[3]
        for style in ("post-LN", "DeepNorm")
    )
    assert deep.alpha == pytest.approx(2.378414)
    assert plain.alpha == 1
    for name in ("value", "out", "up", "down", "query", "key"):
        factor = 0.2973018 if name in ("value", "out", "up", "down") else 1
        ours, expected = getattr(deep, name).weight, getattr(plain, name).weight * factor
        torch.testing.assert_close(ours, expected)
    with pytest.raises(ValueError, match=r"style must be one of post-LN, pre-LN, .*; got 'x'"):
        transformer("x")


def test_t_fixup_scales_the_weights_of_its_paper_and_has_no_norm():
    """With 16 blocks the factor is 0.67 / 2."""
    plain, fixed = (transformer(s, depth=16, generator=seeded()) for s in ("no LN", "T-Fixup"))
    assert not any(isinstance(module, nn.LayerNorm) for module in fixed.modules())
    torch.testing.assert_close(fixed.tokens.weight, 0.335 * plain.tokens.weight)
    torch.testing.assert_close(fixed.positions, 0.335 * plain.positions)
    torch.testing.assert_close(fixed.head.weight, plain.head.weight)
    for name in ("value", "out", "up", "down", "query", "key"):
        factor = 0.335 if name in ("value", "out", "up", "down") else 1
        ours, expected = (getattr(one.blocks[3], name).weight for one in (fixed, plain))
        torch.testing.assert_close(ours, expected * factor)
    x = torch.randn(2, 5, 16, generator=seeded(1))
    block = fixed.blocks[0]
    h = x + block.attend(x)
    torch.testing.assert_close(block(x), h + block.feed(h))
