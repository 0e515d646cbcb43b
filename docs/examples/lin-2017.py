# %% [markdown]
# # Lin 2017: the rare class's prior
#
# **One example in a hundred is positive. If the output bias starts at the log odds, the loss starts
# far lower than with zero bias, and after 50 steps the network ranks the examples better. But
# training from zero bias does not diverge here, and after 1000 steps the difference is small. The
# verdict is *holds in part*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import lin_2017, table

rows = lin_2017.run(seeds=range(5), share=0.01, width=64, lr=0.1, batch=256, steps=1000)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.4), sharex=True)
plotting.curves(rows, ax=axes[0], legend=False)
plotting.curves(rows, y="auc", chance=0.5, ax=axes[1], legend=False)
axes[0].set(xlabel="", ylabel="held-out loss")
axes[1].set_ylabel("held-out AUC")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: With the log odds as bias, the network ranks the positives from the first steps on.
# With zero bias it catches up later. 1 % positives; bands: range over 5 seeds. -->
#
# The *AUC* is the probability that a positive gets a higher score than a negative. Guessing gives
# one half.
#
# ## What we measured
#
# The data are two normal clouds in 20 dimensions, and one cloud is rare. The networks train by
# gradient descent at learning rate 0.1. These inequalities decide the verdict in
# [the table of claims](index.md), and a test asserts them.

# %%
table(lin_2017.CLAIM)

# %% [markdown]
# <!-- table: Held-out loss and AUC over 5 seeds. The last two rows speak against the headline. -->
#
# ## Why the bias matters
#
# Lin et al. detect objects in images, where nearly all candidates are background. They set the last
# bias so that each candidate starts with the probability $\pi = 0.01$ of an object. They report
# that training diverged without this bias.
#
# With zero bias each example starts with the loss $\log 2$. Its gradient at the output has the size
# $\tfrac12$, and nearly all gradients have the same sign, because nearly all examples are negative.
# With $b = \log \frac{\pi}{1 - \pi}$ the gradient of a negative has the size $\pi$, and that of a
# positive $1 - \pi$. So both classes have the same weight in total. The loss starts at the entropy
# of the prior.
#
# ## What it does not show
#
# - The divergence that the paper reports. The loss of a detector is a sum over about 100,000
#   candidates, divided by the few positives, so its first gradients are much larger.
# - The focal loss, which the paper adds to the bias.
# - Adam, whose first steps have the same size for any size of the gradient.
# - Other learning rates. We compare both starts at one rate.
#
# More: [the output bias](../guide/layer-types.md#the-output-bias-should-say-the-class-frequencies).
