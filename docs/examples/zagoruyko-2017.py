# %% [markdown]
# # Zagoruyko 2017: plain deep convolutions
#
# **Twenty plain ReLU convolutions learn the digits at once if each kernel starts as the delta, a
# copy of its input. From He's start they have hardly begun after as many steps, at any of
# three rates.**

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, zagoruyko_2017

rates = {"He": (0.01, 0.03, 0.1), "Dirac": (0.01, 0.03)}
rows = zagoruyko_2017.run(seeds=range(5), rates=rates, depth=20, channels=8, steps=100)

# %% [markdown]
# ## What the paper shows
#
# Zagoruyko and Komodakis train very deep plain image networks, without shortcuts. Each of
# their kernels is a scaled delta plus a learned kernel, in every step. Here the delta is the start
# and nothing else: from there on the kernel is free.
#
# The delta makes 20 layers hand on what the first one saw, and each kernel's gradient arrives as if
# the others were not there. He's kernels keep the signal's size on average, but each layer makes
# different inputs more alike.

# %%
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.8), sharex=True, sharey=True)
for ax, start in zip(axes, rates, strict=True):
    some = [row | {"rate": f"rate {row['lr']:g}"} for row in rows if row["initialization"] == start]
    plotting.curves(some, by="rate", chance=np.log(10), ax=ax, legend=False)
    ax.set_ylabel(f"loss from {start}")
axes[0].set_xlabel("")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of 20 plain ReLU convolutions from He's start and from the delta, at
# several rates. Bands: range over 5 seeds. -->
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(zagoruyko_2017.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 20 steps, over 5 seeds. -->
#
# ## What it does not show
#
# - The paper's parametrization, which keeps the delta in the weight while it learns.
# - Who is better in the end: a hundred steps show who starts.
# - Other starts that carry as far, such as
#   [delta-orthogonal](../advanced/delta-orthogonal.md).
#
# More: [identity and Dirac](../advanced/identity.md).
