# %% [markdown]
# # Radford 2019: many residual branches
#
# **GPT-2 divides the last layer of each residual branch by the square root of the number of
# branches. At a small learning rate, a network of 24 branches learns faster with this factor, and
# faster still with last layers of zero. But if each start has its own best rate, each of the two
# ends higher than undivided layers on at least one seed. So the verdict is *holds in part*.**
#
# The GPT-2 report states this rule without a measurement. The claim that we test is ours.

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import radford_2019, table

rows = radford_2019.run(seeds=range(5), blocks=24, width=32, steps=60)
ax = plotting.rates(rows, chance=np.log(10))

# %% [markdown]
# <!-- figure: Training loss of residual networks after 60 steps, at five learning rates for each
# start of the last layers. A ring marks the rate that two other seeds chose, which need not be the
# lowest point. Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# The first two rows of the table compare the starts at the smallest rate. The other two compare
# each start at its own best rate, which two other seeds chose: see [the
# rules](index.md#how-the-starts-are-compared).

# %%
table(radford_2019.CLAIM)

# %% [markdown]
# <!-- table: Differences of the mean loss of the last 6 steps, over 5 seeds. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. At the smallest rate both inequalities held each time, on every seed. In these runs
# divided layers and layers of zero ended a little lower than undivided ones at the best rates
# too, on average. On every seed only layers of zero did so: with the other seeds, and with twice
# as many rates. On the 30 seeds, divided layers ended lower on 25.
#
# ## Why the last layer matters
#
# A block adds its branch to the residual stream, $h + W_2\,\mathrm{ReLU}(W_1\,\mathrm{LN}(h))$. At
# the start the branches are independent, so $N$ of them make the mean square of the stream grow in
# proportion to $N$. If each $W_2$ is divided by $\sqrt N$, all branches together add as much as one
# branch.
#
# With $W_2 = 0$ ([Goyal et al. (2017)](../references.md#goyal2017) set the last scale of BatchNorm
# to zero instead) the stream passes all blocks unchanged at the start. In the first step $W_1$ does
# not learn, because its gradient passes through $W_2$ and is zero.
#
# ## What it does not show
#
# - Transformers. These branches have no attention, and the data are the digits.
# - Networks without LayerNorm. There the last layer decides whether training is stable: see
#   [Fixup](zhang-2019.py).
# - Which start ends lowest after long training. These networks train for 60 steps of Adam.
#
# More: [residual branches](../guide/best-practices.md#residual).
