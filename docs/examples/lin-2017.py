# %% [markdown]
# # Lin 2017: the rare class's prior
#
# **One example in a hundred is positive. If the output bias starts at the log odds, the loss starts
# far lower than with zero bias, and after 50 steps the network ranks the examples better. But
# training from zero bias is not unstable here, at one learning rate: it learns later, and after
# 1000 steps the difference is small. So the verdict is *holds in part*.**
#
# The paper reports instability for an object detector, whose first gradients are much larger than
# those of our small classifier.

# %% The code that draws this figure
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import lin_2017, table

rows = lin_2017.run(
    seeds=range(5), share=0.01, width=64, lr=0.1, batch=256, steps=1000
)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.4), sharex=True)
plotting.curves(rows, ax=axes[0], legend=False)
plotting.curves(rows, y="auc", chance=0.5, ax=axes[1], legend=False)
axes[0].set(xlabel="", ylabel="held-out loss")
axes[1].set_ylabel("held-out AUC")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Loss and AUC on held-out data with 1 % positives. From zero bias the AUC stays near
# or below one half for the first steps and comes close later; on one seed it falls at first. Lines
# and bands: geometric mean (loss) or mean (AUC), and range over 5 seeds. -->
#
# The *AUC* is the probability that a positive gets a higher score than a negative. Guessing gives
# one half on average. An untrained network is not exactly there: its scores depend a little on the
# input, and they can rank the positives above or below the negatives. Both starts have the same
# weights, so they begin with the same AUC.
#
# ## What we measured
#
# The data are two normal clouds in 20 dimensions, and one cloud is rare. The networks train by
# gradient descent, and both starts share the learning rate 0.1.

# %%
table(lin_2017.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md): held-out loss and AUC over 5
# seeds. Rows marked *against* speak against [the claim](index.md). -->
#
# We also ran this once for twice as many steps, and all inequalities held on every seed.
#
# ## Why the bias matters
#
# Lin et al. detect objects in images, where nearly all candidates are background. They set the last
# bias so that each candidate starts with the probability $\pi = 0.01$ of an object. They report
# that training diverged without this bias.
#
# With zero bias all scores start near zero, so each example starts with a loss near $\log 2$. Its
# gradient at the output has the size $\tfrac12$, and nearly all gradients have the same sign,
# because nearly all examples are negative. So the first steps lower all scores.
#
# With $b = \log \frac{\pi}{1 - \pi}$ each example starts with a probability near $\pi$. The
# gradient of a negative has the size $\pi$, and that of a positive $1 - \pi$. So both classes have
# the same weight in total, because there are $1 - \pi$ negatives for $\pi$ positives. The loss
# starts near $-\pi \log \pi - (1 - \pi) \log(1 - \pi)$, the least loss that is possible without a
# look at the input.
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
