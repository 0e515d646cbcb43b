# %% [markdown]
# # Le 2015: remember from the identity
#
# **A ReLU network whose recurrent matrix starts as the identity learns to add two numbers that are
# far apart in a sequence of 50. In 300 steps at five learning rates, ReLU networks from a Gaussian
# matrix and tanh networks mostly stay at the loss of guessing. The verdict is *holds*.**
#
# Two observations limit this. When we tried narrower networks and shorter sequences, ReLU with a
# Gaussian matrix learned the task on most seeds. And on a second task, copying, linear networks
# from the identity end at a much higher loss than from an orthogonal matrix. The paper makes no
# claim about linear networks.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import le_2015, table

rows = le_2015.run(
    seeds=range(5), length=50, steps=300, delay=25, copy_steps=100
)
_, axes = plt.subplots(2, 1, figsize=(6.8, 8))
for ax, task, chance in zip(
    axes, ("adding", "copying"), (1 / 6, np.log(8)), strict=True
):
    some = [row for row in rows if row["task"] == task]
    plotting.rates(some, chance=chance, ax=ax)
    ax.set_ylabel(f"{task}: final loss")

# %% [markdown]
# <!-- figure: Training loss at the end, by learning rate. Above, adding: the recurrent matrix and
# the nonlinearity. The identity with ReLU learns; from a Gaussian matrix with ReLU few networks do.
# Each seed is the mean of three networks. A loss above 10 counts as 10. Below, copying: linear
# networks from three recurrent matrices. A ring marks the rate that two other seeds chose, if most
# networks learn. Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# Each network that learns is compared at its own best rate, which two other seeds chose: see
# [the rules](index.md#how-the-starts-are-compared). Few networks learn to add from a Gaussian
# matrix, so their best rate means nothing. For these we take the least loss of each seed, which
# favours them. One lucky network can learn, so each seed trains three and we average their losses.

# %%
table(le_2015.CLAIM)

# %% [markdown]
# <!-- table: Square error (adding) and cross-entropy (copying): the mean of the last quarter of
# the steps, over 5 seeds. For adding, each seed is the mean of three networks. Chance is the square
# error of guessing, 1/6. A loss below 95 % of it counts as learned. The last row is our addition to
# the claim. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. All inequalities held each time, on every seed.
#
# ## Two tasks that need memory
#
# *Adding*: the input is 50 random numbers between 0 and 1, and one number in each half is marked.
# The answer is the sum of the two marked numbers. If a network always answers 1, its square error
# is $1/6$.
#
# *Copying*: the input is three symbols out of eight, then 25 blanks. Then the network repeats the
# symbols. Guessing has the loss $\log 8$. These networks have no nonlinearity and train for 100
# steps.
#
# In both tasks the networks have 32 units, the steps are Adam's, the batches have 16 sequences, the
# gradient is clipped to norm 1, and the input weights have std 0.1. The entries of a Gaussian
# matrix have variance $1/n$.
#
# ## Why the matrix matters
#
# If the recurrent matrix $W_{hh}$ is the identity, a unit that stays positive adds up its inputs,
# and the gradient passes back through it unchanged. The first task asks for such a sum. In the
# second task the network must also know in which order the symbols came, and a sum does not keep
# the order. An orthogonal matrix rotates the state in each step, so the three symbols end in three
# different directions. A Gaussian matrix also rotates the state, but its product over many steps
# keeps only a few directions.
#
# ## What it does not show
#
# - That the other networks cannot learn the task. The adding networks train for 300 steps.
# - Longer sequences. The paper's sequences have 150 to 400 numbers.
# - The comparison with LSTMs in the paper.
#
# More: [Identity and Dirac](../advanced/identity.md),
# [recurrent layers](../guide/layer-types.md).
