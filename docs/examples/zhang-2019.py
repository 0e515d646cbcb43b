# %% [markdown]
# # Fixup 2019: residual, no normalization
#
# **At learning rate 0.1, a residual network of 50 blocks without normalization trains from Fixup's
# start on every seed. From four other starts it diverges on every seed. At rate 0.01, every start
# except He's trains. So in this experiment Fixup allows a larger learning rate.**
#
# SkipInit multiplies each branch by a scalar that starts at zero. Its result is between the two.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, zhang_2019

rows = zhang_2019.run(seeds=range(5), rates=(0.01, 0.1), blocks=50, width=32, batch=16, steps=80)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.8), sharex=True, sharey=True)
for ax, lr in zip(axes, (0.1, 0.01), strict=True):
    some = [row for row in rows if row["lr"] == lr]
    plotting.curves(some, chance=np.log(10), ax=ax)
    ax.set_ylabel(f"loss at rate {lr:g}")
axes[0].set_xlabel("")

# %% [markdown]
# <!-- figure: Training loss of 50 residual blocks without normalization. At rate 0.1 only Fixup's
# start trains on every seed. At 0.01 the other starts except He's learn faster. Bands: range over 5
# seeds. -->

# %%
[
    {"start": start}
    | {
        f"rate {lr:g}": sum(
            row["step"] == 80 and np.isfinite(row["loss"])
            for row in rows
            if (row["initialization"], row["lr"]) == (start, lr)
        )
        for lr in (0.01, 0.1)
    }
    for start in zhang_2019.STARTS
]

# %% [markdown]
# <!-- table: How many of 5 seeds have a loss that is still a number after 80 steps. -->
#
# ## Why Fixup can take larger steps
#
# Zhang et al. train residual image networks of up to 10,000 layers without normalization. Fixup
# sets the last layer of each branch and the head to zero. It divides the other layers of a branch
# by a power of the depth, here $\sqrt L$. It also adds scalar biases and a multiplier to each
# branch. These networks have 50 fully connected blocks and train by plain gradient descent on the
# digits.
#
# The reason is the first *step*. With $W_2 = 0$, the output of the network does not depend on
# $W_1$. But a step changes each of the $L$ branches by $\eta$ times its gradient, and these changes
# add up over the depth. A small $W_1$ makes the change of each branch smaller by the factor $L$.
#
# SkipInit ([De & Smith (2020)](../references.md#de2020)) keeps He's weights and learns a multiplier
# $a$ of each branch, $h + a\, f(h)$, from $a = 0$. In the first step the weights of the branches
# get no gradient.
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(zhang_2019.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 20 steps, and whether the run diverged (1: yes), over 5 seeds.
# The last rows speak against the headline. -->
#
# ## What it does not show
#
# - That Fixup's extra scalars matter: we did not leave them out.
# - Which start ends best, each at its own best rate, after long training.
#
# More: [residual branches](../guide/best-practices.md#residual), and
# [how the signal grows](hanin-2018.py).
