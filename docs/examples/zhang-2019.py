# %% [markdown]
# # Fixup 2019: residual, no normalization
#
# **At a learning rate of 0.1 a residual network of 50 blocks without normalization trains from
# Fixup's start on every seed, and from four others on none. At a tenth of that rate all but He's
# train, so what Fixup buys is the rate.** SkipInit, which only multiplies each branch by a scalar
# that starts at zero, lies between.

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, zhang_2019

rows = zhang_2019.run(seeds=range(5), rates=(0.01, 0.1), blocks=50, width=32, batch=32, steps=80)

# %% [markdown]
# ## What the paper shows
#
# Zhang et al. train residual image networks, of up to 10,000 layers, without normalization. Their
# start zeroes each branch's last layer and the head, divides the branch's other layers by a power
# of the depth, here $\sqrt L$, and adds scalar biases and a multiplier for each branch. Ours are
# networks of 50 fully connected blocks, on the digits, by plain gradient descent.
#
# The reason is the first *step*. With $W_2 = 0$ the network computes the same whatever $W_1$ is,
# but each of $L$ branches then moves by $\eta$ times its gradient, and the moves add up over depth.
# Small $W_1$ makes each branch's move $1/L$ of that.
#
# SkipInit ([De & Smith (2020)](../references.md#de2020)) leaves He's weights as they are and learns
# a multiplier $a$ of each branch, $h + a\, f(h)$, from $a = 0$. The branches' own weights get no
# gradient in the first step.

# %%
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.8), sharex=True, sharey=True)
for ax, lr in zip(axes, (0.1, 0.01), strict=True):
    some = [row for row in rows if row["lr"] == lr]
    plotting.curves(some, chance=np.log(10), ax=ax)
    ax.set_ylabel(f"loss at rate {lr:g}")
axes[0].set_xlabel("")

# %% [markdown]
# <!-- figure: Training loss of 50 residual blocks without normalization. At rate 0.1 Fixup's start
# alone survives on every seed; at 0.01 the others learn faster, He's apart. Bands: range over 5
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
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(zhang_2019.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 20 steps, and whether it is still a number (1: it is not), over
# 5 seeds. The last rows speak against the headline. -->
#
# ## What it does not show
#
# - That Fixup's extra scalars matter: we did not leave them out.
# - Which start ends best, each at its own best rate, after long training.
#
# More: [residual branches](../guide/best-practices.md#residual), and
# [how the signal grows](hanin-2018.py).
