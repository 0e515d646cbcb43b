# %% [markdown]
# # Ba 2016: LayerNorm and scale
#
# **With LayerNorm after each hidden layer, a network learns from weights of any of seven scales.
# But each scale needs its own learning rate, which grows about with the square of the scale.
# Without LayerNorm, a network learns from one of the seven scales, at the best of eight rates. The
# verdict is *holds*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from initguide.experiments import digits
from initguide.experiments.claims import ba_2016, table

rows = ba_2016.run(seeds=range(5), hidden=3, width=32, batch=32, steps=100)
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
# <!-- figure: Held-out accuracy for each scale of the hidden weights and each learning rate. We
# count an accuracy above 0.8 as *learned*: these cells are yellow or yellow-green. The cells near
# 0.6 are not counted. Dotted: rate = 10 std². Mean over 5 seeds; a run that diverged counts as
# zero. -->
#
# Three hidden layers of 32 ReLUs learn the digits in 100 steps of gradient descent. Each row of a
# map is one std of all hidden weights. Each column is one learning rate of the hidden layers. The
# head has the same start and the same rate, 0.1, everywhere.
#
# With LayerNorm, one step changes the hidden weights by a share of their size. This share is
# proportional to the rate divided by the square of the std, as we derive below. To the left of the
# yellow band the share is so small that almost only the head learns. To the right of the band the
# steps are too large.
#
# ## What we measured
#
# We count from how many of the seven scales a network learns. The power $p$ is the slope of the
# best rate over the std, both as logarithms: the best rate grows like $\text{std}^p$. Theory
# predicts $p = 2$.

# %%
table(ba_2016.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md), over 5 seeds. *Learned* means
# that the held-out accuracy is above 0.8. -->
#
# We also ran this once with twice as many rates, and once with twice as many steps. All
# inequalities held each time, on every seed.
#
# ## Why the scale sets the learning rate
#
# LayerNorm divides its input by the std of that input. So a factor $c$ on the weights before it
# cancels: $\ell(cW) = \ell(W)$. Differentiate both sides by $W$. This gives
# $\nabla\ell(cW) = \nabla\ell(W) / c$ (section 5.2 of the paper). One step of gradient descent from
# $cW$ is
#
# $$cW - \eta\, \nabla\ell(cW) = c \left( W - \frac{\eta}{c^2}\, \nabla\ell(W) \right).$$
#
# It leads to the same network as a step of rate $\eta / c^2$ from $W$.
#
# ## The gradient of larger weights
#
# We compute the gradient of one network twice. The second time, its hidden weights are ten times
# larger:


# %% The code
def slopes(scale):
    """Return the loss, and the norm of each layer's gradient."""
    model = ba_2016.network(
        (64, 32, 32, 32, 10), scale, layer_norm=True, seed=0
    )
    x, y, *_ = digits()
    loss = F.cross_entropy(model(x), y)
    weights = [layer.weight for layer in model if isinstance(layer, nn.Linear)]
    gradients = torch.autograd.grad(loss, weights)
    return loss.item(), [gradient.norm().item() for gradient in gradients]


(loss, small), (same, large) = slopes(0.1), slopes(1.0)
print(f"loss {loss:.4f}, then {same:.4f}")
ratios = [after / before for before, after in zip(small, large, strict=True)]
print(
    "hidden gradients times", " ".join(f"{ratio:.3f}" for ratio in ratios[:-1])
)

# %% [markdown]
# The gradient is a tenth as large, and the weights are ten times larger. So the same rate changes
# the weights by a share that is a hundred times smaller.
#
# ## What it does not show
#
# - Very small scales, where LayerNorm's $\varepsilon$ matters, or a large head, which no LayerNorm
#   follows. [Layer normalization](../guide/layer-normalization.md) shows both.
# - Networks whose layers start at different scales, as with formulas of the fan-in.
# - Adam. The size of its steps does not depend on the size of the gradient, so its best rate should
#   grow with the scale, not with its square.
#
# More: [LayerNorm](../guide/layer-normalization.md).
