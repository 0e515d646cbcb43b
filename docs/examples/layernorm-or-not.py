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


def compare(widths, lr):
    """Train without and with LayerNorm, by plain gradient descent; return both lists of rows."""
    return [
        train(INITIALIZATIONS, widths=widths, layer_norm=norm, lr=lr, steps=200, seeds=SEEDS)
        for norm in (False, True)
    ]


def draw(pair):
    """Draw the learning curves without LayerNorm above those with it."""
    fig, axes = plt.subplots(2, 1, figsize=(6.8, 6), sharex=True, sharey=True)
    for ax, rows, title in zip(axes, pair, ("without LayerNorm", "with LayerNorm"), strict=True):
        plotting.curves(rows, chance=np.log(10), ax=ax, legend=False)
        ax.set_title(title, loc="left")
    axes[0].set(xlabel="", ylim=(0.01, 10))
    plotting.shared_legend(axes)


def final(pair):
    """Return the held-out accuracy after the last step: the mean and the range over seeds."""
    rows = []
    for name in INITIALIZATIONS:
        row = {"initialization": name}
        for curves, title in zip(pair, ("without", "with"), strict=True):
            last = [r["accuracy"] for r in curves if r["step"] == 200 and r["initialization"] == name]
            row[f"{title} LayerNorm"] = f"{np.mean(last):.2f} [{min(last):.2f}, {max(last):.2f}]"
        rows.append(row)
    return rows


# %% [markdown]
# ## Three hidden layers: LayerNorm rescues all five
#
# The digits, 100 units a layer, learning rate 0.1.

# %%
shallow = compare(SHALLOW, lr=0.1)
draw(shallow)

# %% [markdown]
# <!-- figure: Training loss of 3 hidden layers. Without LayerNorm std 0.01 stays at chance and
# std 1.0 overflows; with it, all learn. Bands: range over 3 seeds. -->

# %%
final(shallow)

# %% [markdown]
# <!-- table: Held-out accuracy after 200 steps, 3 hidden layers; nan: the loss overflowed. -->
#
# ## Fifteen hidden layers: it does not
#
# 64 units a layer, learning rate 0.01. Without LayerNorm, He alone learns. With it, PyTorch's
# default and Xavier join in, std 1.0 comes slowly, and std 0.01 does not move.

# %%
deep = compare(DEEP, lr=0.01)
draw(deep)

# %% [markdown]
# <!-- figure: Training loss of 15 hidden layers. LayerNorm helps all but std 0.01, which stays at
# chance. Bands: range over 3 seeds. -->

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
    return loss.item(), list(zip(weights, torch.autograd.grad(loss, weights), strict=True))


def network(name, seed=0):
    """Return a deep network with LayerNorm, drawn by one of the initializations."""
    generator = torch.Generator().manual_seed(seed)
    model = mlp(DEEP, layer_norm=True, generator=generator)
    INITIALIZATIONS[name](model, generator)
    return model


model = network("He")
before, pairs = gradients(model)
norms = [slope.norm() for _, slope in pairs]
with torch.no_grad():
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
# So std 0.01 should want a smaller learning rate, and std 1.0 a larger one.

# %%
rows = []
for lr in (0.0003, 0.001, 0.003, 0.01):
    curve = train(
        {"std 0.01": INITIALIZATIONS["std 0.01"]},
        widths=DEEP,
        layer_norm=True,
        lr=lr,
        steps=200,
        seeds=SEEDS,
    )
    last = [row["accuracy"] for row in curve if row["step"] == 200]
    rows.append({"learning rate": f"{lr:g}", "accuracy": np.mean(last), "least": min(last), "most": max(last)})
rows

# %% [markdown]
# <!-- table: std 0.01 with LayerNorm, 15 hidden layers: held-out accuracy after 200 steps, over 3
# seeds. -->
#
# ## Interpretation
#
# - LayerNorm makes the *signal* blind to the scale of the weights. It does so exactly, but for its
#   `eps`, and only for the weights that feed it.
# - The *step* is not blind to it. With plain gradient descent a small initialization acts like a
#   large learning rate, and the deeper the network, the less it forgives one: with a tenth of the
#   learning rate the network that std 0.01 had stranded begins to learn.
# - Initialize well even where you normalize. He or Xavier with LayerNorm were never worse here than
#   the better of the two without.
#
# More: [section 2.4.5](../guide/layer-normalization.md).
