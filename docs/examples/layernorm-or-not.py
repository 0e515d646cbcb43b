# %% [markdown]
# # LayerNorm or not
#
# With LayerNorm behind each hidden layer a shallow network learns from all five initializations;
# without it, two of them never start. But LayerNorm makes up for a bad scale only in part: at 15
# hidden layers std 0.01 still learns nothing and std 1.0 lags behind, since the scale that no
# longer changes the signal still sets the size of each step.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from initguide import plotting
from initguide.experiments import INITIALIZATIONS, digits, mlp, train

data = digits()
SEEDS = range(3)
SHALLOW = (64, 100, 100, 100, 10)
DEEP = (64, *[64] * 15, 10)


def compare(widths, lr, steps):
    """Train without and with LayerNorm, by plain gradient descent; return both lists of rows."""
    return [
        train(INITIALIZATIONS, widths=widths, layer_norm=norm, lr=lr, steps=steps, seeds=SEEDS)
        for norm in (False, True)
    ]


def draw(pair, top):
    """Draw the learning curves without LayerNorm above those with it, up to a loss of `top`."""
    _, axes = plt.subplots(2, 1, figsize=(6.8, 6), sharex=True, sharey=True)
    for ax, rows, title in zip(axes, pair, ("without LayerNorm", "with LayerNorm"), strict=True):
        plotting.curves(rows, chance=np.log(10), ax=ax, legend=False)
        ax.set_title(title, loc="left")
    axes[0].set(xlabel="", ylim=(0.01, top))
    plotting.shared_legend(axes)


def accuracy(rows, name):
    """Return the held-out accuracy after the last step: the mean and the range over seeds."""
    end = rows[-1]["step"]
    last = [r["accuracy"] for r in rows if r["step"] == end and r["initialization"] == name]
    return f"{np.mean(last):.2f} [{min(last):.2f}, {max(last):.2f}]"


def final(pair):
    """Return the accuracy of each initialization, without LayerNorm and with it."""
    without, with_norm = pair
    return [
        {
            "initialization": name,
            "without LayerNorm": accuracy(without, name),
            "with LayerNorm": accuracy(with_norm, name),
        }
        for name in INITIALIZATIONS
    ]


# %% [markdown]
# ## Three hidden layers: LayerNorm rescues all five
#
# The digits, 100 units a layer, learning rate 0.1.

# %%
shallow = compare(SHALLOW, lr=0.1, steps=150)
draw(shallow, top=1e4)

# %% [markdown]
# <!-- figure: Training loss of 3 hidden layers. Without LayerNorm std 0.01 stays at chance and
# std 1.0 overflows; with it, all learn. Bands: range over 3 seeds. -->

# %%
final(shallow)

# %% [markdown]
# <!-- table: Held-out accuracy after 150 steps, 3 hidden layers; nan: the loss overflowed. -->
#
# ## Fifteen hidden layers: it does not
#
# 64 units a layer, learning rate 0.01. Without LayerNorm, He alone learns. With it, PyTorch's
# default and Xavier join in, std 1.0 comes slowly, and std 0.01 does not move.

# %%
deep = compare(DEEP, lr=0.01, steps=200)
draw(deep, top=30)

# %% [markdown]
# <!-- figure: Training loss of 15 hidden layers. LayerNorm helps all but std 0.01, which stays at
# chance; without it std 1.0 overflows beyond the picture. Bands: range over 3 seeds. -->

# %%
final(deep)

# %% [markdown]
# <!-- table: Held-out accuracy after 200 steps, 15 hidden layers; nan: the loss overflowed. -->
#
# ## What LayerNorm leaves over
#
# LayerNorm divides by the std of what it gets, so a factor $c$ on the weights that feed it drops
# out: $\ell(cW) = \ell(W)$. Derive both sides with respect to $W$, and the gradient turns out to go
# the other way, $\nabla\ell(cW) = \nabla\ell(W)/c$. Here $c = 10$ on each hidden weight matrix:


# %%
def gradients(model):
    """Return the loss on a batch, and each Linear's weights with their gradients."""
    loss = F.cross_entropy(model(data.x_train[:500]), data.y_train[:500])
    weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]
    slopes = torch.autograd.grad(loss, weights)
    return loss.item(), [(w.detach(), slope) for w, slope in zip(weights, slopes, strict=True)]


def network(name, seed=0):
    """Return a deep network with LayerNorm, drawn by one of the initializations."""
    generator = torch.Generator().manual_seed(seed)
    model = mlp(DEEP, layer_norm=True, generator=generator)
    INITIALIZATIONS[name](model, generator)
    return model


model = network("He")
before, pairs = gradients(model)
norms = [slope.norm() for _, slope in pairs]
for weight, _ in pairs[:-1]:
    weight *= 10
after, scaled = gradients(model)
print(f"loss {before:.4f}, then {after:.4f}")
factors = [float(slope.norm() / norm) for (_, slope), norm in zip(scaled, norms, strict=True)]
print("hidden gradients times", " ".join(f"{factor:.3f}" for factor in factors[:-1]))

# %% [markdown]
# A weight ten times smaller thus gets a gradient ten times larger: relative to its size, a step
# *a hundred* times larger. The output layer has no LayerNorm behind it, and a small one damps all
# gradients, which hides a part of that. What remains, $\lVert\nabla W\rVert / \lVert W\rVert$ of
# the hidden layers, is the share by which a step at learning rate one would change them:

# %%
shares = {
    name: [
        float(slope.norm() / weight.norm())
        for seed in SEEDS
        for weight, slope in gradients(network(name, seed))[1][:-1]
    ]
    for name in INITIALIZATIONS
}
[
    {
        "initialization": name,
        "median share": float(np.median(share)),
        "least": min(share),
        "most": max(share),
    }
    for name, share in shares.items()
]

# %% [markdown]
# <!-- table: Gradient over weight, in norm, at the start: 15 hidden layers with LayerNorm, over all
# hidden layers and 3 seeds. -->
#
# So std 0.01 should want a smaller learning rate, and std 1.0 a larger one. A tenth of the rate
# does start std 0.01; ten times the rate helps std 1.0 little: no LayerNorm follows its
# large output layer.

# %%
two = {name: INITIALIZATIONS[name] for name in ("std 0.01", "std 1.0")}
sweep = {
    lr: train(two, widths=DEEP, layer_norm=True, lr=lr, steps=200, seeds=SEEDS)
    for lr in (0.001, 0.1)
}
[
    {"learning rate": f"{lr:g}"} | {name: accuracy(rows, name) for name in two}
    for lr, rows in sorted({**sweep, 0.01: deep[1]}.items())
]

# %% [markdown]
# <!-- table: Held-out accuracy after 200 steps, 15 hidden layers with LayerNorm. -->
#
# ## Interpretation
#
# - LayerNorm makes the *signal* blind to the scale of the weights: exactly, but for its `eps`, and
#   only for the weights that feed it.
# - The *step* is not blind to it. With plain gradient descent a small initialization acts like a
#   large learning rate, and a deep network does not forgive one: with a tenth of the learning rate
#   the network that std 0.01 had stranded begins to learn.
# - He's initialization needed no LayerNorm, at either depth. What LayerNorm bought here is
#   tolerance of the other four, not a better best.
#
# More: [section 2.4.5](../guide/layer-normalization.md).
