# %% [markdown]
# # Zhou 2022: small weights condense
#
# **A tanh network with 100 hidden units starts with weights of std $100^{-\gamma}$. We
# compare small weights, γ = 1 and γ = 1.5, with γ = 0.5, each at the best of six learning rates.
# After training from small weights, the input weights of two units are more nearly parallel. The
# verdict is *holds*.**
#
# The paper shows more: there the units gather on a few directions. We measured only how parallel
# they are.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import torch

from initguide import plotting
from initguide.experiments.claims import table, zhou_2022

one, two = torch.randn(
    2, 100_000, 5, generator=torch.Generator().manual_seed(0)
)
random = torch.cosine_similarity(one, two).abs().mean().item()
rows = zhou_2022.run(seeds=range(5), width=100, points=40, steps=300)
_, axes = plt.subplots(2, 1, figsize=(6.8, 7), sharex=True)
plotting.rates(rows, ax=axes[0], legend=False)
axes[0].set(xlabel="", ylabel="mean loss of 300 steps")
plotting.rates(
    [row | {"loss": row["alignment"]} for row in rows], ax=axes[1], legend=False
)
axes[1].set(ylabel="mean |cosine| of two units", yscale="linear")
axes[1].axhline(random, color=plt.rcParams["text.color"], linestyle=":")
axes[1].annotate(
    "random", (1.01, random), xycoords=("axes fraction", "data"), va="center"
)
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Above: the loss at six learning rates. Below: the mean absolute cosine between the
# input weights of two hidden units after training; dotted: of random directions. A ring marks the
# rate that two other seeds chose, the one with the least loss. Lines and bands: geometric mean and
# range over 5 seeds. -->
#
# ## The verdict
#
# The *cosine* of two units is 1 or −1 if their input weights are parallel. Each γ is measured at
# its own best rate, which two other seeds chose: see [the
# rules](index.md#how-the-starts-are-compared).

# %%
table(zhou_2022.CLAIM)

# %% [markdown]
# <!-- table: Differences of the mean absolute cosine after training, over 5 seeds. Each seed is the
# mean of three networks, which are trained on different points. -->
#
# The inputs have five dimensions. These are the mean absolute cosines of random directions in them,
# and of the trained networks at their best rates:

# %%
print(f"random: {random:.2f}")
best = [row for row in rows if row["best"]]
for name in zhou_2022.GAMMAS:
    some = [row["alignment"] for row in best if row["initialization"] == name]
    print(f"{name}: {sum(some) / len(some):.2f}")

# %% [markdown]
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. Both inequalities held each time, on every seed.
#
# ## Why small weights condense
#
# The network computes $\sum_i a_i \tanh(w_i \cdot x)$, where $w_i$ are the input weights of unit
# $i$. It learns the mean of the sines of five inputs, at 40 random points. If all weights are
# small, tanh is close to the identity and the output is close to zero. Then the gradient of each
# $w_i$ is $a_i$ times a vector that does not depend on the unit. So all units move along one line.
# From small weights, a few steps are larger than the weights themselves, so the units turn towards
# this line. From large weights the same steps hardly turn them.
#
# Zhou et al. call this *condensation*. A condensed layer acts like a layer of few units, which then
# separate one after the other.
#
# ## What it does not show
#
# - Whether condensed networks do better on new data. We measured only the training loss and the
#   directions.
# - Wide or deep networks, and other losses.
# - The whole course of training. We measured the directions after 300 steps of Adam.
#
# More: [symmetry, when all units are equal](rumelhart-1986.py).
