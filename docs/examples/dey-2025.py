# %% [markdown]
# # Dey 2025: a rate for every depth
#
# **In a standard residual network the best learning rate becomes smaller as the network becomes
# deeper. In CompleteP, where each branch is divided by the depth, it changes less on every seed,
# but on at least one seed by more than our bound. At the best rate of 2 branches, a network of 18
# branches reaches a much lower loss in CompleteP. The verdict is *holds in part*.**

# %% The code that draws this figure
from initguide import plotting
from initguide.experiments.claims import dey_2025, table

rows = dey_2025.run(seeds=range(5), depths=(2, 6, 18), width=32, steps=40)
axes = plotting.rates_by_size(rows, "depth", "branches")

# %% [markdown]
# <!-- figure: Training loss at seven rates of Adam, one line per depth. A star marks the lowest
# point of each line, which lies on one of the seven rates. Above, it moves to the left as the depth
# grows. Below, it moves less, or stays. Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# The table measures each seed separately, and between the seven rates: the best rate of a seed is
# the lowest point of a parabola through its least loss and the two neighbours. So it can show a
# change that the stars do not show.
#
# Theory predicts that the best rate falls like $1/\sqrt N$ for $N$ branches in the standard
# parametrization, and stays in CompleteP. From 2 to 18 branches, $1/\sqrt N$ falls by a factor of
# 3, which is $-\log_2 3 \approx -1.58$ in powers of two. The bound of the first two rows is half of
# this.

# %%
table(dey_2025.CLAIM)

# %% [markdown]
# <!-- table: From 2 to 18 branches, over 5 seeds: the change of the best rate in powers of two, and
# the difference of these changes. The last row is the difference of the losses of 18 branches, at
# the rate that is best for 2 branches with the same seed. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. The first, the third and the fourth row held each time, on every seed. The second
# row held on 27 of the 30 seeds, and with twice as many steps on every seed.
#
# ## Why the factor 1/N
#
# A block adds a branch of two Linear layers to the residual stream. In the standard
# parametrization this is $h + f(\mathrm{LN}(h))$. Here CompleteP computes
# $h + \frac{2}{N} f(\mathrm{LN}(h))$, so that both are the same for 2 branches.
#
# A step of Adam changes each weight by about the rate $\eta$, at any depth. So each branch changes
# by about the same amount, and $N$ such changes add up to $N\,\eta$. With the factor $1/N$ the sum
# does not depend on the depth.
#
# In the standard parametrization the stream itself grows like $\sqrt N$, and the last LayerNorm
# divides by its size. So the step changes the output in proportion to $\sqrt N\,\eta$, and the best
# rate falls like $1/\sqrt N$.
#
# ## What it does not show
#
# - All of CompleteP. It also has rules for the width, for weight decay and for Adam's ε.
# - Transformers. These branches have no attention.
# - Long training. The loss is the mean of 40 steps.
#
# More: [muP, a rate for every width](yang-2021.py).
