# %% [markdown]
# # Zhang 2019: Fixup, no normalization
#
# **At learning rate 0.1, a residual network of 50 blocks without normalization trains from Fixup's
# start on every seed. From SkipInit it trains on one of five seeds, and from four other starts on
# none. At rate 0.01 three of these four train too, and reach about the same loss as Fixup at rate
# 0.1. Fixup itself is slow at rate 0.01. So in this experiment Fixup allows a larger learning rate,
# but no lower loss. The verdict is *holds*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, zhang_2019

rows = zhang_2019.run(
    seeds=range(5), rates=(0.01, 0.1), blocks=50, width=32, batch=16, steps=80
)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.8), sharex=True, sharey=True)
for ax, lr in zip(axes, (0.1, 0.01), strict=True):
    some = [row for row in rows if row["lr"] == lr]
    plotting.curves(some, chance=np.log(10), ax=ax, legend=False)
    ax.set_title(f"learning rate {lr:g}", loc="left")
    for line in ax.lines:
        # A start that diverges within the first ten steps has no line.
        if len(line.get_xdata()) == 0:
            line.set_label("_")
axes[0].set_xlabel("")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of 50 residual blocks without normalization. Starts that diverge within
# the first ten steps on every seed have no line: at rate 0.01 He's, and at rate 0.1 all except
# Fixup and SkipInit. A cross marks the last finite loss of a seed that diverges later. Lines and
# bands: geometric mean and range over those of 5 seeds that are left. -->
#
# The starts are:
#
# - *He*, *PyTorch default*: all layers of the branches from this initialization.
# - *last / √(2N)*: as He, but the last layer of each of the $N$ branches is divided by $\sqrt{2N}$.
# - *last zero*: as He, but the last layer of each branch is zero.
# - *SkipInit*: as He, but each branch is multiplied by a scalar that starts at zero and is learned.
# - *Fixup*: see below.

# %% The code of the table
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
# Zhang et al. train residual image networks of up to 10,000 layers without normalization. Our
# networks have 50 fully connected blocks and train by plain gradient descent on the digits. A block
# adds the branch $W_2 \operatorname{relu}(W_1 h)$ to its input $h$.
#
# Fixup sets the last layer of each branch, $W_2$, and the head to zero. It divides the other layers
# of a branch by a power of the depth: here it divides $W_1$ by $\sqrt N$. It also adds scalar
# biases and a multiplier to each branch.
#
# The reason is the first *steps*. Because $W_2 = 0$, each branch starts at zero for any $W_1$. The
# head learns first. Then a step of rate $\eta$ changes $W_2$ by $\eta$ times its gradient, and this
# gradient is proportional to $\operatorname{relu}(W_1 h)$. The output of the branch is then this
# change times $\operatorname{relu}(W_1 h)$, so $W_1$ enters twice. If $W_1$ is divided by $\sqrt
# N$, the branch changes by $N$ times less. The changes of the $N$ branches add up, and their sum
# does not grow with $N$.
#
# SkipInit ([De & Smith (2020)](../references.md#de2020)) keeps He's weights and learns a multiplier
# $a$ of each branch, $h + a\, f(h)$, from $a = 0$. In the first step the weights of the branches
# get no gradient.
#
# ## What we measured
#
# We compare the starts at two rates, 0.1 and 0.01.

# %%
table(zhang_2019.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md), over 5 seeds: mean loss of the
# last 20 steps, and whether the run diverged (1: yes). The last three rows are our addition to the
# claim. -->
#
# We also ran this once with twice as many steps, and all inequalities held on every seed.
#
# ## What it does not show
#
# - That Fixup's extra scalars matter: we did not leave them out.
# - Which start ends best, each at its own best rate, after long training.
#
# More: [residual branches](../guide/best-practices.md#residual), and
# [how the signal grows](hanin-2018.py).
