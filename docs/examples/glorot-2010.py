# %% [markdown]
# # Glorot and Bengio 2010: tanh and sigmoid
#
# **From weights drawn from $U(\pm 1/\sqrt n)$, the signal and the gradient fade from layer to
# layer. Five tanh layers then have a higher loss than from the normalized (Xavier)
# initialization, each at its own best learning rate. Four sigmoid layers stay near the loss of
# guessing for 200 steps from both starts, as the paper says. But from Xavier's weights times four
# they learn. So the verdict is *holds in part*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import glorot_2010, table

rows = glorot_2010.run(seeds=range(5), steps=200)
_, axes = plt.subplots(4, 1, figsize=(6.8, 11.5))
start, tanh, sigmoid = (
    [row for row in rows if row["part"] == part]
    for part in ("start", "tanh", "sigmoid")
)
plotting.signals(start, ax=axes[0], legend=False)
plotting.gradients(start, ax=axes[1], legend=False)
plotting.rates(tanh, chance=np.log(10), ax=axes[2], legend=False)
plotting.rates(sigmoid, chance=np.log(10), ax=axes[3], legend=False)
titles = (
    "5 tanh layers: signal",
    "5 tanh layers: gradient",
    "5 tanh layers: training",
    "4 sigmoid layers: training",
)
for ax, title in zip(axes, titles, strict=True):
    ax.set_title(title, loc="left")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: The upper two panels: before training. The lower two: the training loss over the
# last 100 of 200 steps, at five learning rates. A ring marks the rate that two other seeds chose,
# which need not be the lowest point. A run whose loss is above 10 counts as 10. In the lowest
# panel, the line of Xavier covers that of U(±1/√n). Lines and bands: geometric mean and range over
# 5 seeds. -->
#
# ## The verdict
#
# Each start is compared at its own best rate, which two other seeds chose: see
# [the rules](index.md#how-the-starts-are-compared).

# %%
table(glorot_2010.CLAIM)

# %% [markdown]
# <!-- table: Differences between two starts, over 5 seeds: of the share of the rms that is left
# after four layers, before training, and of the mean loss of the last 100 steps. The row marked
# *against* speaks against [the claim](index.md). -->
#
# We also ran this once with twice as many rates, and once with twice as many steps. All four
# inequalities came out as in the table each time, on every seed.
#
# The paper found the sigmoid unsuited for deep networks with random weights. The last row shows
# random weights from which such a network learns.
#
# ## Why the scale matters
#
# Before this paper, weights were commonly drawn from $U(\pm 1/\sqrt n)$, where $n$ is the fan-in.
# Their variance is $1/(3n)$. Near zero, tanh is close to the identity, so each layer divides the
# mean square of signal and gradient by about three. From the normalized initialization,
# $U(\pm\sqrt{6/(\text{fan-in} + \text{fan-out})})$, a layer without the tanh keeps both. The tanh
# makes the signal somewhat smaller, as the first panel shows (figures 6 and 7 of the paper).
#
# The slope of a sigmoid is at most $\tfrac14$. So its gradient needs weights four times as large.
# Xavier's derivation assumes the slope 1 and does not include this factor.
#
# ## What it does not show
#
# - Which start ends lowest after long training. These networks train for 200 steps.
# - That a sigmoid is a good choice. The mean of its outputs is not zero.
# - ReLU networks, in which each layer also halves the signal: see [He 2015](he-2015.py).
#
# More: [Xavier initialization](../guide/methods/xavier.md).
