# %% [markdown]
# # He 2015: 30 ReLU layers
#
# **In 200 steps from He's variance, a network of 22 ReLU layers learns, and one of 30 layers begins
# to learn. From Xavier's variance both stay near the loss of guessing, at each of five learning
# rates. The verdict is *holds*.**
#
# The paper's network of 22 layers learned from Xavier's variance too, but more slowly. Ours did
# not.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import he_2015, table

rows = he_2015.run(seeds=range(5), depths=(22, 30), width=48, steps=200)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6), sharex=True, sharey=True)
for ax, depth in zip(axes, (22, 30), strict=True):
    some = [row for row in rows if row["depth"] == depth]
    plotting.rates(some, chance=np.log(10), ax=ax, legend=False)
    ax.set_title(f"{depth} layers", loc="left")
axes[0].set_xlabel("")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of ReLU networks, the mean of the last 20 of 200 steps. Each start has
# five learning rates of its own, around its best one: He's are smaller. A ring marks the rate that
# two other seeds chose. Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# Each start is compared at its own best rate, which two other seeds chose: see
# [the rules](index.md#how-the-starts-are-compared).

# %%
table(he_2015.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 20 steps, over 5 seeds. Chance is the loss of guessing, log 10.
# A network counts as having learned if its loss is below 95 % of it. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. All inequalities held each time, on every seed. In an earlier version, with twice as
# many steps, one of five networks of 30 layers from He's start ended worse than guessing.
#
# ## Why the start matters
#
# With Xavier's variance $1/n$, each ReLU layer halves the mean square of the signal and of the
# gradient. After 30 layers both are smaller by a factor of $2^{30} \approx 10^9$. With He's
# variance $2/n$ both keep their size on average.
#
# The paper compares the two variances on convolutional networks of 22 and of 30 layers (its figures
# 2 and 3). Our layers are fully connected and have 48 units, and the data are the digits.
#
# ## What it does not show
#
# - That Xavier's start never learns. These networks train for 200 steps of plain gradient descent.
# - That 30 layers are useful. The paper's own network of 30 layers is no better than its shallower
#   ones.
#
# More: [He initialization](../guide/methods/he.md).
