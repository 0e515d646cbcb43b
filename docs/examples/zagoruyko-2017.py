# %% [markdown]
# # Zagoruyko 2017: plain deep convolutions
#
# **Twenty plain ReLU convolutions learn the digits in 100 steps if each kernel starts as the delta,
# a copy of its input. From He's start the loss is still near that of guessing, at the best of five
# learning rates. The verdict is *holds*.**

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, zagoruyko_2017

rows = zagoruyko_2017.run(seeds=range(5), depth=20, channels=8, steps=100)
ax = plotting.rates(rows, chance=np.log(10))

# %% [markdown]
# <!-- figure: Training loss of 20 plain ReLU convolutions after 100 steps, at five learning rates
# for each start. A ring marks the rate that two other seeds chose. Lines and bands: geometric mean
# and range over 5 seeds. -->
#
# ## The verdict
#
# Each start is compared at its own best rate. We choose that rate on two other seeds, so the choice
# cannot favour the seeds that we report. These inequalities decide the verdict.

# %%
table(zagoruyko_2017.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 10 steps, over 5 seeds. -->
#
# The bound of the first line is half of the loss of guessing, $\log 10 \approx 2.30$. The bound of
# the difference is zero. A test asserts that the mean is at least three standard errors away from
# each bound.
#
# ## Why the start matters
#
# Zagoruyko and Komodakis train very deep image networks without shortcuts. A *delta* kernel is 1 at
# its centre and 0 elsewhere, so the layer copies its input. Twenty such layers pass on the output
# of the first layer, and the gradient reaches each kernel unchanged. He's kernels keep the size
# of the signal on average, but each layer makes different inputs more alike.
#
# ## What it does not show
#
# - The paper's layer. It adds the delta to the kernel in every step, but here the delta is only the
#   start.
# - Long training, or wide layers. These networks have 8 channels and train for 100 steps.
# - Other starts that pass on the signal, such as
#   [delta-orthogonal](../advanced/delta-orthogonal.md).
#
# More: [identity and Dirac](../advanced/identity.md).
