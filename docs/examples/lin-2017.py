# %% [markdown]
# # Lin 2017: the rare class's prior
#
# **Where one example in a hundred is positive, an output bias of the log odds saves the first
# steps: the loss starts far lower, and fifty steps later the network ranks seven pairs of ten or
# more the right way, ahead of one with zero bias. Nothing diverges without it, and after a thousand
# steps the lead is less than one pair in ten.**

# %%
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import lin_2017, table

rows = lin_2017.run(seeds=range(5), share=0.01, width=64, lr=0.1, batch=256, steps=1000)

# %% [markdown]
# ## What the paper shows
#
# Lin et al. detect objects in images, where nearly all candidates are background. They set the last
# bias so that each candidate starts as an object with $\pi = 0.01$, and report that training
# without it diverged. Ours is smaller and tamer: two normal clouds in 20 dimensions, one of them
# rare.
#
# With zero bias each of $n$ examples begins with loss $\log 2$ and a gradient of size
# $\tfrac12$ at its output, and nearly all of them pull the same way: down. With
# $b = \log \frac{\pi}{1 - \pi}$ a negative's gradient is $\pi$, a positive's $1 - \pi$, so both
# classes weigh alike, and the loss starts at the prior's entropy. The *AUC* below is the chance
# that a positive gets the higher score of a pair; guessing gives one half.

# %%
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.4), sharex=True)
plotting.curves(rows, ax=axes[0], legend=False)
plotting.curves(rows, y="auc", chance=0.5, ax=axes[1], legend=False)
axes[0].set(xlabel="", ylabel="held-out loss")
axes[1].set_ylabel("held-out AUC")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: With the log odds as bias the network ranks the positives from the first steps on;
# with zero bias it catches up. 1 % positives; bands: range over 5 seeds. -->
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(lin_2017.CLAIM)

# %% [markdown]
# <!-- table: Held-out loss and AUC over 5 seeds. The last two rows speak against the headline. -->
#
# ## What it does not show
#
# - The divergence that the paper reports: a detector's loss sums about 100,000 candidates over the
#   few positives, so its first gradients are larger by far.
# - The focal loss, which the paper adds to the bias.
# - Adam, whose first steps have the same size whatever the gradient's.
#
# More: [the output bias](../guide/layer-types.md#the-output-bias-should-say-the-class-frequencies).
