# %% [markdown]
# # LSUV on a deep network
#
# A deep maxout network, for which neither common rule was made: from He's its training overflows,
# from Xavier's it hardly moves, and from [`lsuv_`][initguide.lsuv_] it learns at once, because LSUV
# *measures* what the rules compute. A derivation would have done nearly as well, though, and where
# unit variance is the wrong aim, as with softplus, LSUV fails and He's rule trains.

# %%
import numpy as np
import torch
from torch import nn

import initguide as init
from initguide import plotting
from initguide.experiments import (
    INITIALIZATIONS,
    activations,
    digits,
    each_linear,
    fit,
    gradients,
    mlp,
)

data = digits()
SEEDS = range(3)


def lsuv(model, generator):
    """Initialize by LSUV on 256 training images, with biases of zero like the others."""
    for layer in model:
        if isinstance(layer, nn.Linear):
            init.zeros_(layer.bias)
    init.lsuv_(model, data.x_train[:256], generator=generator)


# %% [markdown]
# ## A network without a rule
#
# A maxout unit gives out the larger one of two sums. We stack 20 layers of 64 such units.


# %%
class Maxout(nn.Module):
    """The larger one of each pair of neighbours."""

    def forward(self, z):
        """Halve the last axis."""
        return z.unflatten(-1, (-1, 2)).amax(-1)


def maxout_network(initialize_, seed):
    """Return 20 layers of 64 maxout units and an output layer, drawn from a seed."""
    hidden = [layer for _ in range(20) for layer in (nn.Linear(64, 128), Maxout())]
    model = nn.Sequential(*hidden, nn.Linear(64, 10))
    initialize_(model, torch.Generator().manual_seed(seed))
    return model


choices = {
    "Xavier": INITIALIZATIONS["Xavier"],
    "He": INITIALIZATIONS["He"],
    "LeCun": each_linear(init.lecun_normal_),
    "LSUV": lsuv,
}
rows = [
    {"initialization": name, "seed": seed, "layer": row["layer"], "rms": row["rms"]}
    for name, initialize_ in choices.items()
    for seed in SEEDS
    for row in activations(maxout_network(initialize_, seed), data.x_train)
]
plotting.signals(rows)

# %% [markdown]
# <!-- figure: The digits on their way through 20 maxout layers; layer 21 is the output. He's signal
# explodes and Xavier's fades. Bands: range over 3 seeds. -->
#
# ## Training
#
# 150 steps of plain gradient descent with learning rate 0.01.


# %%
def train(network, choices, lr, steps):
    """Train a network for each choice and seed; return the learning curves."""
    return [
        {"initialization": name, "seed": seed} | row
        for name, initialize_ in choices.items()
        for seed in SEEDS
        for row in fit(network(initialize_, seed), data, lr=lr, steps=steps, seed=seed)
    ]


def final(rows, name):
    """Return the held-out accuracy after the last step: the mean and the range over seeds."""
    end = rows[-1]["step"]
    last = [r["accuracy"] for r in rows if r["step"] == end and r["initialization"] == name]
    return f"{np.mean(last):.2f} [{min(last):.2f}, {max(last):.2f}]"


curves = train(maxout_network, choices, lr=0.01, steps=150)
plotting.curves(curves, chance=np.log(10))

# %% [markdown]
# <!-- figure: Training loss of the maxout network: LSUV trains, Xavier barely leaves chance, He
# overflows in the first steps. Bands: range over 3 seeds. -->
#
# Perhaps the others only want another learning rate. Xavier's faint gradients should want a larger
# one, He's huge ones a far smaller one:

# %%
others = {"Xavier": 0.03, "He": 0.00001}
again = {
    name: train(maxout_network, {name: choices[name]}, lr=lr, steps=150)
    for name, lr in others.items()
}
[
    {
        "initialization": name,
        "learning rate 0.01": final(curves, name),
        "another": f"{others[name]:g}" if name in others else None,
        "accuracy there": final(again[name], name) if name in others else None,
    }
    for name in choices
]

# %% [markdown]
# <!-- table: Held-out accuracy of the maxout network after 150 steps; nan: the loss overflowed. -->
#
# ## What a derivation would have found
#
# For two independent normal values $a$ and $b$, $\max^2 + \min^2 = a^2 + b^2$, and by symmetry both
# squares have the same mean. So a maxout unit keeps the second moment of its sums, and the right
# variance is $1/n$ with $n$ the fan-in, which is LeCun's rule. He's is twice that:
# $2^{20}$ over 20 layers. Xavier's divides by the mean of 64 and 128, for a factor of $2/3$ a
# layer. LSUV got there without the argument.
#
# ## Where LSUV is worse
#
# Ten layers of softplus, $\ln(1 + e^z)$, learning rate 0.03.


# %%
def softplus_network(initialize_, seed):
    """Return ten layers of 64 softplus units and an output layer, drawn from a seed."""
    generator = torch.Generator().manual_seed(seed)
    model = mlp((64, *[64] * 10, 10), nn.Softplus, generator=generator)
    initialize_(model, generator)
    return model


three = {name: choices[name] for name in ("Xavier", "He", "LSUV")}
softplus = train(softplus_network, three, lr=0.03, steps=200)
plotting.curves(softplus, chance=np.log(10))

# %% [markdown]
# <!-- figure: Training loss of ten softplus layers: He trains, LSUV stays at chance. Bands: range
# over 3 seeds. -->
#
# Softplus is positive everywhere, so its outputs have a large mean. The next layer's sums then vary
# mostly from *unit to unit*, and hardly from input to input. LSUV makes their variance one as it
# was asked to, and what tells the inputs apart keeps shrinking, and the gradient with it.


# %%
def looks(initialize_, seed):
    """Return what the last hidden layer's outputs and the first one's gradient are at the start."""
    model = softplus_network(initialize_, seed)
    last = activations(model, data.x_train)[-2]["values"]
    slopes = gradients(model, data.x_train, data.y_train)
    return last.std(), last.std(0).mean(), slopes[0]["rms"] / slopes[-2]["rms"]


table = []
for name, initialize_ in three.items():
    std, over_inputs, gradient = np.median([looks(initialize_, seed) for seed in SEEDS], axis=0)
    table.append(
        {
            "initialization": name,
            "std, last hidden layer": std,
            "of it over inputs": over_inputs,
            "gradient, first to last": gradient,
            "accuracy": final(softplus, name),
        }
    )
table

# %% [markdown]
# <!-- table: Ten softplus layers: spread of the last hidden layer's outputs, and the gradient's
# rms in the first hidden layer over that in the last, both at the start (medians over 3 seeds);
# accuracy after 200 steps. -->
#
# The gains say the same beforehand: the scale that keeps softplus' signal is far below the one that
# keeps its gradient, and He's lies between them.

# %%
for kind in ("forward", "backward"):
    print(f"{kind}: {init.gain('softplus', kind):.2f}")
print(f"He: {init.gain('relu'):.2f}")

# %% [markdown]
# ## Interpretation
#
# - LSUV needs no formula. It is the tool for the layer that no rule covers.
# - It is no magic: it finds the scale that a derivation would, and a rule with the right gain
#   trains about as well.
# - It aims at the variance over units and inputs together. Where the activation has a large mean,
#   that is not the variance which carries the information. Look at the spread over the batch.
#
# More: [LSUV, the method](../guide/methods/lsuv.md).
