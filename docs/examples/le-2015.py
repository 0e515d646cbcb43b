# %% [markdown]
# # Le 2015: remember from the identity
#
# **A ReLU network whose recurrent matrix starts as the identity learns to add two numbers that are
# far apart in a sequence of 80. A tanh network from PyTorch's default stays near the loss of
# guessing. On a second task, copying, the identity fails and an orthogonal matrix succeeds. So the
# verdict is *holds in part*.**
#
# Each task has one learning rate. The two networks for adding differ in the matrix and in the
# nonlinearity, and this experiment does not separate the two effects.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import le_2015, table

rows = le_2015.run(seeds=range(5), length=80, steps=300, delay=50, copy_steps=150)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.4))
for ax, task, chance in zip(axes, ("adding", "copying"), (1 / 6, np.log(8)), strict=True):
    some = [row for row in rows if row["task"] == task]
    plotting.curves(some, chance=chance, ax=ax, legend=False)
    ax.set_title(task, loc="left")
axes[0].set(xlabel="", ylabel="square error")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of recurrent networks. Adding: the identity with ReLU, and PyTorch's
# default with tanh. Copying: the same linear network from three recurrent matrices. Mean and range
# over 5 seeds. -->
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
# ## Two tasks that need memory
#
# *Adding*: the input is 80 random numbers, and one number in each half is marked. The answer is the
# sum of the two marked numbers. If a network always answers 1, its square error is $1/6$. These
# networks have 48 units, and Adam's learning rate is 0.002.
#
# *Copying*: the input is five symbols out of eight, then 50 blanks. Then the network repeats the
# symbols. Guessing has the loss $\log 8$. These networks have 80 units without a nonlinearity, and
# Adam's learning rate is 0.001. In both tasks the batches have 32 sequences, the gradient is
# clipped to norm 1, and the input weights have std 0.1.
#
# ## Why the matrix matters
#
# With $W_{hh} = I$, a unit that stays positive adds up its inputs, and the gradient passes back
# through it unchanged. The first task asks for such a sum. The second task asks *when* each symbol
# came, and a sum does not keep the order. An orthogonal matrix rotates the state in each step, so
# the five symbols end in five different directions. A Gaussian matrix also rotates the state, but
# its product over 60 steps keeps only a few directions.
#
# ## What it does not show
#
# - That tanh networks cannot learn the task. We tried one learning rate and 300 steps.
# - Which start is best after long training, each at its own best rate.
# - The comparison with LSTMs in the paper, or its sequences of several hundred steps.
#
# More: [Identity and Dirac](../advanced/identity.md),
# [recurrent layers](../guide/layer-types.md).
