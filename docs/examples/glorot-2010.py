# %% [markdown]
# # Glorot and Bengio 2010: tanh and sigmoid
#
# **Weights from $U(\pm 1/\sqrt n)$ make signal and gradient fade from layer to layer, and five tanh
# layers then learn slowly; the normalized (Xavier) initialization keeps both, and they learn at
# once. A deep sigmoid network saturates at its top layer, as the paper says, and stays at chance.
# But it was the scale: from Xavier's weights times four it learns.**

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import glorot_2010, table

rows = glorot_2010.run(seeds=range(5), tanh_lr=0.01, sigmoid_lr=0.2)

# %% [markdown]
# ## What the paper shows
#
# Before it, weights were commonly drawn from $U(\pm 1/\sqrt n)$, with $n$ the fan-in. Their
# variance is $1/3n$: around zero, where tanh is the identity, each layer divides the second moment
# of signal and gradient by three. The normalized initialization, $U(\pm\sqrt{6/(\text{fan-in} +
# \text{fan-out})})$, was made to keep both (figures 6 and 7 of the paper). Its figure 2 watches a
# sigmoid network: the top layer goes towards zero, where its slope is gone.

# %%
_, axes = plt.subplots(4, 1, figsize=(6.8, 11.5))
start, tanh, sigmoid = (
    [row for row in rows if row["part"] == part] for part in ("start", "tanh", "sigmoid")
)
plotting.signals(start, ax=axes[0], legend=False)
plotting.gradients(start, ax=axes[1], legend=False)
plotting.curves(tanh, chance=np.log(10), ax=axes[2], legend=False)
top = [row for row in sigmoid if row["layer"] == 4]
plotting.curves(top, y="mean", ax=axes[3], log=False, legend=False)
axes[3].set(ylabel="mean activation", ylim=(0, 0.6))
titles = (
    "5 tanh layers: signal",
    "5 tanh layers: gradient",
    "5 tanh layers: training",
    "4 sigmoid layers: the top layer",
)
for ax, title in zip(axes, titles, strict=True):
    ax.set_title(title, loc="left")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: From U(±1/√n) signal and gradient fade, tanh learns slowly, and the top sigmoid layer
# goes towards zero. Xavier mends tanh, four times Xavier sigmoid. Bands: range over 5 seeds. -->
#
# ## What we measured
#
# The last line speaks against the paper, which found the sigmoid unsuited for deep networks with
# random weights. A sigmoid's slope is at most $\tfrac14$, so the gradient wants weights four times
# as large; Xavier's derivation, for a slope of one, does not ask for them.

# %%
table(glorot_2010.CLAIM)

# %% [markdown]
# <!-- table: What the verdict in [the table of claims](index.md) is made of, over 5 seeds. The size
# of signal and gradient is their rms; the loss is that of the last 50 steps. -->
#
# ## What it does not show
#
# - That $U(\pm 1/\sqrt n)$ never learns: it is one learning rate, and 400 steps. The paper's own
#   tanh networks learned from it too, with larger errors (its table 1).
# - That a sigmoid is a good choice. It needed the factor, and its outputs are never centered.
# - Anything on ReLU, which halves the signal on top: see [He 2015](he-2015.py).
#
# More: [Xavier initialization](../guide/methods/xavier.md).
