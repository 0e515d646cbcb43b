# %% [markdown]
# # Radford 2019: many residual branches
#
# **GPT-2 divides the last layer of each residual branch by the square root of the number of
# branches. At a small learning rate, a network of 24 branches learns faster with this factor. With
# last layers of zero it is faster still. At the best rate of each start, none of them leads on all
# seeds. So the verdict is *holds in part*.**

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import radford_2019, table

rows = radford_2019.run(seeds=range(5), blocks=24, width=32, steps=60)
ax = plotting.rates(rows, chance=np.log(10))

# %% [markdown]
# <!-- figure: Training loss of residual networks after 60 steps, at five learning rates for each
# start of the last layers. At small rates the starts differ. Near the best rates they hardly do. A
# ring marks the rate that two other seeds chose. Lines and bands: geometric mean and range over 5
# seeds. -->
#
# ## The verdict
#
# The first two rows of the table compare the starts at the smallest rate. The other two compare
# each start at the rate that two other seeds chose. On the seeds of the figure this is not always
# the lowest point.

# %%
table(radford_2019.CLAIM)

# %% [markdown]
# <!-- table: Differences of the mean loss of the last 6 steps, over 5 seeds. -->
#
# The bound of each difference is zero. A test asserts that the mean is at least three standard
# errors away from it, except where the table says *no*.
#
# We also ran this once with other seeds, and with twice as many rates. At the smallest rate the two
# leads held each time. At the best rates, both starts had a small lead on average, but not on every
# seed.
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
