"""Networks that start well, and networks with one planted fault, for the tests of `measure`."""

import torch
from measured_networks import own, state_space
from models import (
    Bag,
    Excited,
    Gated,
    LastState,
    Recurrent,
    Residual,
    ResNet,
    Tokens,
    autoencoder,
    branches,
    cnn,
    generator,
    images,
    mlp,
    scaled,
    tokens,
    vectors,
)
from torch import nn

import initguide as init


def default(build, seed):
    """Return a model as torch draws it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


def by(recipe, build):
    def made(seed):
        model = build()
        init.initialize_(model, recipe, seed=seed)
        return model

    return made


def weights(fill_, build):
    """Return a maker of models whose weights `fill_` draws; biases are zero."""

    def made(seed):
        model, source = build(), generator(seed)
        for module in model.modules():
            if isinstance(module, (nn.Linear, nn.Conv2d)):
                fill_(module.weight, source)
                init.zeros_(module.bias)
        return model

    return made


def lsuv(seed):
    model = mlp(12, nn.ReLU)
    init.lsuv_(model, vectors(seed), generator=generator(seed))
    return model


def policy(seed):
    model = by("auto", Gated)(seed)
    init.orthogonal_(model.policy.weight, gain=0.01, generator=generator(seed))
    return model


def small_head(seed):
    model = by("auto", lambda: mlp(6))(seed)
    init.zeros_(model[-1].weight)
    return model


def lecun(weight, source):
    init.lecun_normal_(weight, generator=source)


def normal(std):
    return lambda weight, source: init.normal_(weight, std=std, generator=source)


def damaged(make, name, damage):
    """Return a maker whose models' layer of that name is changed in place."""

    def made(seed):
        model = make(seed)
        with torch.no_grad():
            damage(model.get_submodule(name), generator(seed))
        return model

    return made


def shut(layer, _):
    layer.bias.fill_(-20.0)


def stemless():
    model = Residual()
    model.stem = nn.Identity()
    return model


def first_branch_zero(seed):
    model = by("auto", stemless)(seed)
    init.zeros_(model.blocks[0][2].weight)
    return model


HEALTHY = {
    "He and ReLU, 3 layers": (by("kaiming", lambda: mlp(3)), vectors),
    "He and ReLU, 20 layers": (by("kaiming", lambda: mlp(20)), vectors),
    "tanh, Xavier": (by("xavier", lambda: mlp(5, nn.Tanh)), vectors),
    "tanh, Xavier, 20 layers": (by("xavier", lambda: mlp(20, nn.Tanh)), vectors),
    "SELU, LeCun": (weights(lecun, lambda: mlp(10, nn.SELU)), vectors),
    "GELU": (by("auto", lambda: mlp(10, nn.GELU)), vectors),
    "CNN, BatchNorm": (by("auto", cnn), images),
    "CNN, BatchNorm, torch's default": (lambda seed: default(cnn, seed), images),
    "ResNet, BatchNorm": (by("auto", ResNet), images),
    "ResNet, BatchNorm, zero gamma": (by("zero_gamma", ResNet), images),
    "ResNet, BatchNorm, torch's default": (lambda seed: default(ResNet, seed), images),
    "residual, no norm, scaled": (by("auto", Residual), lambda s: vectors(s, 32)),
    "residual, no norm, Fixup": (by("fixup", Residual), lambda s: vectors(s, 32)),
    "residual, no stem, one zero branch": (first_branch_zero, lambda s: vectors(s, 64)),
    "branches of one layer, scaled": (by("auto", branches), lambda s: vectors(s, 32)),
    "branches of one layer, Fixup": (by("fixup", branches), lambda s: vectors(s, 32)),
    "branches of one layer, torch's default": (
        lambda seed: default(branches, seed),
        lambda s: vectors(s, 32),
    ),
    "LayerScale": (lambda seed: default(scaled, seed), lambda s: vectors(s, 32)),
    "GRU": (by("auto", Recurrent), tokens),
    "GRU, torch's default": (lambda seed: default(Recurrent, seed), tokens),
    "LSTM": (by("auto", lambda: Recurrent(nn.LSTM)), tokens),
    "LSTM, last state": (by("auto", lambda: LastState(nn.LSTM, 1)), tokens),
    "LSTM, torch's default": (lambda s: default(lambda: Recurrent(nn.LSTM), s), tokens),
    "Transformer, norm first": (by("auto", Tokens), tokens),
    "Transformer, norm last": (by("auto", lambda: Tokens(norm_first=False)), tokens),
    "Transformer, GPT-2": (by("gpt2", Tokens), tokens),
    "LayerNorm, torch's default": (
        lambda seed: default(lambda: mlp(10, norm=nn.LayerNorm), seed),
        vectors,
    ),
    "autoencoder": (by("auto", autoencoder), vectors),
    "embedding and mean": (by("auto", Bag), tokens),
    "embedding and mean, torch's default": (lambda seed: default(Bag, seed), tokens),
    "deep linear, orthogonal": (by("orthogonal", lambda: mlp(50, nn.Identity)), vectors),
    "LSUV": (lsuv, vectors),
    "gates and two heads": (policy, lambda s: vectors(s, 32)),
    "zero head": (small_head, vectors),
    "inputs in [0, 1]": (
        by("auto", cnn),
        lambda s: torch.rand(16, 3, 16, 16, generator=generator(s)),
    ),
    "inputs of any size in front of a norm": (by("auto", cnn), lambda s: 1e4 * images(s)),
    "a shut gate": (damaged(by("auto", Excited), "squeeze", shut), images),
    "one-hot inputs": (by("auto", lambda: mlp(3)), lambda s: torch.eye(100)[:64]),
}


def he(depth=10, **options):
    return by("kaiming", lambda: mlp(depth, **options))


def times(factor):
    return lambda layer, _: layer.weight.mul_(factor)


def constant(layer, _):
    layer.weight.fill_(0.01)


def zero(layer, _):
    layer.weight.zero_()


def one_of_each_gate(layer, _):
    for name, weight in layer.named_parameters():
        if name.startswith("weight"):
            weight.fill_(0.05)


def pairs_of_copies(layer, _):
    layer.weight.copy_(layer.weight[: len(layer.weight) // 4].repeat(4, 1, 1, 1))


def he_(weight, source):
    init.kaiming_normal_(weight, generator=source)


def biased(seed):
    model = he(8)(seed)
    for layer in model[:-1:2]:
        init.constant_(layer.bias, -1.0)
    return model


# Each: maker, batch, and for each kind of finding the layers that may be named. There are several
# only where chance decides from which layer on a gradual change is seen.
FAULTY = {
    "Xavier before ReLU": (
        by("xavier", lambda: mlp(20)),
        vectors,
        {"signal vanishes": "0 2", "gradient vanishes": "38"},
    ),
    "std 0.01": (
        weights(normal(0.01), lambda: mlp(5)),
        vectors,
        {"signal vanishes": "0", "gradient vanishes": "8"},
    ),
    "one layer far too small": (
        damaged(he(), "6", times(1e-4)),
        vectors,
        {"signal vanishes": "6", "gradient vanishes": "6"},
    ),
    "std 1": (
        weights(normal(1.0), lambda: mlp(5)),
        vectors,
        {"signal explodes": "0", "gradient explodes": "8"},
    ),
    "one layer far too large": (
        damaged(he(), "8", times(1e4)),
        vectors,
        {"signal explodes": "8", "gradient explodes": "8"},
    ),
    "He for a deep linear network": (
        weights(he_, lambda: mlp(30, nn.Identity)),
        vectors,
        {"signal explodes": "0 2 4", "gradient explodes": "58 56"},
    ),
    "torch's default, 20 layers": (
        lambda seed: default(lambda: mlp(20), seed),
        vectors,
        {"input ignored": "12 14 16 18", "gradient vanishes": "38"},
    ),
    "sigmoid after Xavier": (
        by("xavier", lambda: mlp(8, nn.Sigmoid)),
        vectors,
        {"input ignored": "8", "gradient vanishes": "14"},
    ),
    "tanh after std 1": (
        weights(normal(1.0), lambda: mlp(2, nn.Tanh)),
        vectors,
        {"saturated units": "0", "large outputs": "4"},
    ),
    "tanh after gain 3": (
        weights(normal(0.3), lambda: mlp(40, nn.Tanh)),
        vectors,
        {"gradient explodes": "78"},
    ),
    "a bias that kills": (
        damaged(he(), "4", shut),
        vectors,
        {"dead units": "4"},
    ),
    "biases of -1": (biased, vectors, {"dead units": "4"}),
    "a bias that kills few": (
        damaged(he(3, width=4), "2", shut),
        lambda s: vectors(s, 4),
        {"dead units": "2"},
    ),
    "a bias that kills most": (
        damaged(he(), "4", lambda layer, _: layer.bias[:90].fill_(-20.0)),
        vectors,
        {"dead units": "4"},
    ),
    "a constant layer": (damaged(he(3), "2", constant), vectors, {"symmetric units": "2"}),
    "constant filters": (
        damaged(by("auto", cnn), "6", constant),
        images,
        {"symmetric units": "6"},
    ),
    "four copies of each filter": (
        damaged(by("auto", cnn), "3", pairs_of_copies),
        images,
        {"symmetric units": "3"},
    ),
    "constant gates": (
        damaged(by("auto", Recurrent), "rnn", one_of_each_gate),
        tokens,
        {"symmetric units": "rnn"},
    ),
    "shifted inputs": (
        he(3),
        lambda seed: vectors(seed) + 10,
        {"inputs shifted": "0"},
    ),
    "pixels": (
        he(3),
        lambda s: 255 * torch.rand(64, 100, generator=generator(s)),
        {"inputs badly scaled": "0"},
    ),
    "tiny inputs": (he(3), lambda s: 1e-3 * vectors(s), {"inputs badly scaled": "0"}),
    "residual sums": (
        by("kaiming", lambda: Residual(24)),
        lambda s: vectors(s, 32),
        {"residual sums grow": "blocks.0.0 blocks.1.0"},
    ),
    "residual sums of one layer": (
        by("kaiming", branches),
        lambda s: vectors(s, 32),
        {"residual sums grow": "1.layer 2.layer 3.layer"},
    ),
    "a stem far too large": (
        damaged(by("auto", Residual), "stem", times(1e3)),
        lambda s: vectors(s, 32),
        {"signal explodes": "stem"},
    ),
    "residual convolutions": (
        by("kaiming", lambda: ResNet(24, norm=False)),
        images,
        {"residual sums grow": "blocks.0.conv1 blocks.1.conv1 blocks.2.conv1"},
    ),
    "deep copies": (
        lambda seed: default(lambda: Tokens(6), seed),
        tokens,
        {"cloned layers": "encoder.layers.1.self_attn"},
    ),
    "a zero layer": (damaged(by("auto", cnn), "3", zero), images, {"zero layer": "3"}),
    "all zeros": (
        weights(lambda w, _: init.zeros_(w), lambda: mlp(3)),
        vectors,
        {"zero layer": "0"},
    ),
    "a weight that is NaN": (
        damaged(he(), "2", lambda layer, _: layer.weight[3, 5].fill_(torch.nan)),
        vectors,
        {"non-finite values": "2"},
    ),
    "one layer unlike the others": (
        damaged(by("auto", lambda: mlp(8, norm=nn.LayerNorm)), "9", times(50)),
        vectors,
        {"odd layer": "9"},
    ),
    "a factor of 30": (
        damaged(lambda s: default(own, s), "3", lambda layer, _: layer.factor.fill_(30.0)),
        lambda s: vectors(s, 32),
        {"large factor": "3.factor"},
    ),
    "steps of a state-space layer": (
        damaged(
            lambda s: default(lambda: nn.Sequential(*state_space(), nn.Flatten()), s),
            "2.mixer.dt_proj",
            lambda layer, _: layer.bias.fill_(1.0),
        ),
        tokens,
        {"state forgotten": "2.mixer.dt_proj"},
    ),
    "an overflow": (
        damaged(he(), "4", times(1e38)),
        vectors,
        {"non-finite values": "4"},
    ),
}
