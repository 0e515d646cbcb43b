# %% [markdown]
# # Ba 2016: LayerNorm and scale
#
# **With LayerNorm behind each hidden layer a network learns from weights of any of seven scales, at
# a learning rate that grows with the scale's square. Without it a few scales learn, and no rate
# helps the others. So LayerNorm does not remove the choice of a scale: it makes it a choice of the
# rate.**

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments import digits
from initguide.experiments.claims import ba_2016, table

rows = ba_2016.run(seeds=range(5), hidden=3, width=32, batch=32, steps=100)

# %% [markdown]
# ## What the paper shows
#
# LayerNorm divides by the std of what it gets, so a factor $c$ on the weights that feed it drops
# out: $\ell(cW) = \ell(W)$. The paper adds that the weights' size then sets the pace (section 5.2):
# differentiate both sides by $W$, and $\nabla\ell(cW) = \nabla\ell(W) / c$. A step of gradient
# descent from $cW$,
#
# $$cW - \eta\, \nabla\ell(cW) = c \left( W - \frac{\eta}{c^2}\, \nabla\ell(W) \right),$$
#
# gives the same network as one of rate $\eta / c^2$ from $W$.
#
# Here three hidden layers of 32 ReLUs learn the digits in 100 steps of gradient descent. Each row
# of a map is a std of all hidden weights, each column a learning rate of the hidden layers; the
# head's start and rate (0.1) are the same everywhere.

# %%
rates, scales = np.log10(ba_2016.RATES), np.log10(ba_2016.SCALES)
_, axes = plt.subplots(2, 1, figsize=(6.8, 7), sharex=True)
for ax, layer_norm in zip(axes, (False, True), strict=True):
    right = [row["accuracy"] for row in rows if row["layer_norm"] == layer_norm]
    # A run that diverged has learned nothing.
    shares = np.nan_to_num(right).reshape(len(scales), len(rates), -1).mean(-1)
    image = ax.pcolormesh(rates, scales, shares, vmin=0, vmax=1)
    ax.set_title(f"{'with' if layer_norm else 'without'} LayerNorm", loc="left")
    ax.set_ylabel("log₁₀ of the weights' std")
    ax.grid(visible=False)
axes[1].plot(2 * scales + 1, scales, "k:", linewidth=3)
axes[1].set(xlabel="log₁₀ of the learning rate")
_ = plt.colorbar(image, ax=axes, label="held-out accuracy", shrink=0.6)

# %% [markdown]
# <!-- figure: Held-out accuracy over the scale of the hidden weights and their learning rate.
# Without LayerNorm a small island learns; with it, a ridge at each scale's own rate. Dotted: rate =
# 10 std². Mean over 5 seeds; a run that diverged counts as zero. -->
#
# A step changes the hidden weights by a share of their size that goes as the rate over the square
# of their std. Left of the ridge that is little, so that the head learns alone; right of it, many
# times what was there.
#
# ## The gradient goes as one over the scale
#
# The same network twice, its hidden weights ten times larger the second time:


# %%
def slopes(scale):
    """Return the loss, and its gradient's norm for the weights of each layer."""
    model = ba_2016.network((64, 32, 32, 32, 10), scale, layer_norm=True, seed=0)
    x, y, *_ = digits()
    loss = F.cross_entropy(model(x), y)
    weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]
    gradients = torch.autograd.grad(loss, weights)
    return loss.item(), [gradient.norm().item() for gradient in gradients]


(loss, small), (same, large) = slopes(0.1), slopes(1.0)
print(f"loss {loss:.4f}, then {same:.4f}")
ratios = [after / before for before, after in zip(small, large, strict=True)]
print("hidden gradients times", " ".join(f"{ratio:.3f}" for ratio in ratios[:-1]))

# %% [markdown]
# A tenth of the gradient, on weights ten times larger: relative to its size, a step a hundred times
# smaller.
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(ba_2016.CLAIM)

# %% [markdown]
# <!-- table: Scales are learned at a rate if the held-out accuracy is above 0.8; over 5 seeds. -->
#
# ## What it does not show
#
# - Scales so small that LayerNorm's $\varepsilon$ counts, or large heads, which no LayerNorm
#   follows: [section 2.4.5](../guide/layer-normalization.md) has both, and fifteen layers.
# - One rate for weights of several scales in one network, as initializations by fan_in make them.
# - Adam, whose steps do not know the gradient's size: there the rate should go with the scale, not
#   with its square.
#
# More: [LayerNorm](../guide/layer-normalization.md).
