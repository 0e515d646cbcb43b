# %% [markdown]
# # Zagoruyko 2017: plain deep convolutions
#
# **Twenty plain ReLU convolutions learn the digits in 100 steps if each kernel starts as the delta,
# so that each layer copies its input. From He's start their loss hardly leaves that of guessing, at
# the best of five learning rates. The verdict is *holds*. It is about a delta at the start only.**
#
# The paper's layer is different: it adds the delta to the kernel in every step.

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, zagoruyko_2017

rows = zagoruyko_2017.run(seeds=range(5), depth=20, channels=8, steps=100)
ax = plotting.rates(rows, chance=np.log(10))

# %% [markdown]
# <!-- figure: Training loss of 20 plain ReLU convolutions after 100 steps, at five learning rates
# for each start; *Dirac* is PyTorch's name for the delta. A ring marks the rate that two other
# seeds chose. A run whose loss is above 10, or not finite, counts as 10. Lines and bands: geometric
# mean and range over 5 seeds. -->
#
# ## The verdict
#
# Each start is compared at its own best rate, which two other seeds chose: see
# [the rules](index.md#how-the-starts-are-compared).

# %%
table(zagoruyko_2017.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 10 steps, over 5 seeds. The bound of the first row is half of
# the loss of guessing, log 10. -->
#
# We also ran this once with twice as many rates, and once with twice as many steps. Both
# inequalities held each time, on every seed.
#
# From He's start the loss at the chosen rate is this share of the loss of guessing:

# %%
best = [row for row in rows if row["best"]]
losses = [row["loss"] for row in best if row["initialization"] == "He"]
print(f"{np.mean(losses) / np.log(10):.0%}")

# %% [markdown]
# We count a network as having learned if this share is below 95 %.
#
# ## Why the start matters
#
# Zagoruyko and Komodakis train very deep image networks without shortcuts. A *delta* kernel is 1 at
# its centre and 0 elsewhere, so the layer copies its input. Twenty such layers pass on the output
# of the first layer, and where the signal is positive, the gradient reaches each kernel unchanged.
# He's kernels keep the size of the signal on average, but each layer makes different inputs more
# alike.
#
# ## What it does not show
#
# - The paper's layer. There the delta stays in the kernel during training.
# - Long training, or wide layers. These networks have 8 channels and train for 100 steps.
# - Other starts that pass on the signal, such as
#   [delta-orthogonal](../advanced/delta-orthogonal.md).
#
# More: [identity and Dirac](../advanced/identity.md).
