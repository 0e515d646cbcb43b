# %% [markdown]
# # Le 2015: remember from the identity
#
# **A ReLU network whose recurrent matrix starts as the identity learns to add two numbers that
# stand far apart in a sequence of 80; a tanh network from PyTorch's default learns to guess the
# mean. But the identity is no cure for every memory: asked to copy five symbols after 50 steps, it
# fails where a random orthogonal matrix succeeds.**

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import le_2015, table

rows = le_2015.run(seeds=range(5), length=80, steps=300, delay=50, copy_steps=150)

# %% [markdown]
# ## Two tasks that need memory
#
# *Adding*: 80 random numbers, one marked in each half; the answer is the sum of the two. Whoever
# always says 1 has the square error $1/6$. 48 units, Adam with learning rate 0.002.
#
# *Copying*: five of eight symbols, 50 steps of nothing, then the symbols again. Guessing costs
# $\log 8$. 80 units without any nonlinearity, Adam with learning rate 0.001. Batches of 32, the
# gradient clipped to norm 1, input weights of std 0.1.

# %%
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.4))
for ax, task, chance in zip(axes, ("adding", "copying"), (1 / 6, np.log(8)), strict=True):
    some = [row for row in rows if row["task"] == task]
    plotting.curves(some, chance=chance, ax=ax, legend=False)
    ax.set_title(task, loc="left")
axes[0].set(xlabel="", ylabel="square error")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of recurrent networks. Adding: identity with ReLU against PyTorch's
# default with tanh. Copying: the same linear network from three recurrent matrices. Mean and range
# over 5 seeds. -->
#
# With $W_{hh} = I$ a unit that stays positive adds up its inputs, and hands the gradient back
# whole. To add is just what the first task asks for. The second asks *when* a symbol came. A
# sum forgets that; an orthogonal matrix turns the state in each step, so that five symbols stand in
# five directions. A Gaussian matrix turns too, but its product over 60 steps keeps only a few
# directions.
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(le_2015.CLAIM)

# %% [markdown]
# <!-- table: Square error (adding) and cross-entropy (copying) at the end: the median of the last
# five means of 10 steps, over 5 seeds. -->
#
# ## What it does not show
#
# - That tanh networks cannot learn it: it is one learning rate, and 300 steps. Neither start has
#   seen a long training.
# - The paper's comparison with LSTMs, or its sequences of several hundred steps.
#
# More: [Identity and Dirac](../advanced/identity.md),
# [recurrent layers](../guide/layer-types.md).
