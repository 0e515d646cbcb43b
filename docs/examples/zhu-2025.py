# %% [markdown]
# # Zhu 2025: tanh in the place of LayerNorm
#
# **Dynamic tanh replaces LayerNorm by tanh(αx) with a learned α. If α starts at 0.5, a residual
# network of 8 blocks learns about as fast as with LayerNorm, each at the best of five learning
# rates. If α starts at 4, it learns much more slowly. The verdict is *holds*.**

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, zhu_2025

rows = zhu_2025.run(seeds=range(5), blocks=8, width=32, steps=80)
ax = plotting.rates(rows, chance=np.log(10))
ax.set_ylabel("mean loss of 80 steps")

# %% [markdown]
# <!-- figure: Training loss of residual networks, the mean of 80 steps, at five learning rates for
# each network: one with LayerNorm, and three with dynamic tanh, by the start of α. A ring marks the
# rate that two other seeds chose. Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# Each network is compared at its own best rate, which two other seeds chose: see [the
# rules](index.md#how-the-starts-are-compared). The loss is the mean of all 80 steps, so it is small
# if a network learns early. Dynamic tanh trains *as well* as LayerNorm if its loss is lower, or
# higher by less than 5 % of the loss of guessing.

# %%
table(zhu_2025.CLAIM)

# %% [markdown]
# <!-- table: Differences of the mean loss of all 80 steps, over 5 seeds. Chance is the loss of
# guessing, log 10. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. Both inequalities held each time, on every seed.
#
# ## Why the start of α matters
#
# *Dynamic tanh* computes $\gamma \tanh(\alpha x) + \beta$ for each entry, where $\alpha$ is one
# number and $\gamma$ and $\beta$ have one entry per unit. All three are learned. $\gamma$ starts at
# one and $\beta$ at zero.
#
# Near zero, tanh is close to the identity, so the layer multiplies small entries by $\alpha$. A
# small $\alpha$ makes the branches of the network small at the start, and then a larger learning
# rate is best. A large $\alpha$ saturates the tanh: its output is near ±1, and its slope is near
# zero. So little gradient passes through it.
#
# ## What it does not show
#
# - Transformers, for which the paper made it. These branches are two Linear layers.
# - Which $\alpha$ is best. The paper finds that large language models need a smaller $\alpha$ as
#   they become wider.
# - Long training. These networks train for 80 steps of Adam.
#
# More: [LayerNorm](../guide/layer-normalization.md).
