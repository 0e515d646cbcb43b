# %% [markdown]
# # Zhou 2022: small weights condense
#
# **A tanh network with 100 hidden units starts with weights of std $100^{-\gamma}$. After training
# from small weights, γ = 1 or γ = 1.5, the input weights of two units are more nearly parallel than
# from γ = 0.5, each at the best of six learning rates. The verdict is *holds*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt
import torch

from initguide import plotting
from initguide.experiments.claims import table, zhou_2022

rows = zhou_2022.run(seeds=range(5), width=100, points=80, steps=300)
_, axes = plt.subplots(2, 1, figsize=(6.8, 7), sharex=True)
plotting.rates(rows, ax=axes[0], legend=False)
axes[0].set(xlabel="", ylabel="mean loss of 300 steps")
plotting.rates([row | {"loss": row["alignment"]} for row in rows], ax=axes[1], legend=False)
axes[1].set_ylabel("mean |cosine| of two units")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Above, the loss at six learning rates. Below, the mean absolute cosine between the
# input weights of two hidden units after training. It is larger from small weights. A ring marks
# the rate with the least loss on two other seeds. Lines and bands: geometric mean and range over 5
# seeds. -->
#
# ## The verdict
#
# The *cosine* of two units is 1 or −1 if their input weights are parallel. Each γ is measured at
# its own best rate, the one with the least loss. We choose it on two other seeds.

# %%
table(zhou_2022.CLAIM)

# %% [markdown]
# <!-- table: Differences of the mean absolute cosine after training, over 5 seeds. -->
#
# The bound of each difference is zero. A test asserts that the mean is at least three standard
# errors away from it. The inputs have five dimensions. For random directions in them the mean
# absolute cosine is about:

# %%
one, two = torch.randn(2, 100_000, 5, generator=torch.Generator().manual_seed(0))
print(f"{torch.cosine_similarity(one, two).abs().mean():.2f}")

# %% [markdown]
# We also ran this once with other seeds, with twice as many rates, and with twice as many steps.
# The inequalities held on all or nearly all of the seeds each time.
#
# ## Why small weights condense
#
# The network is $\sum_i a_i \tanh(w_i \cdot x)$, and it fits a mean of sines at 80 points. If all
# weights are small, tanh is close to the identity and the output is close to zero. Then the
# gradient of each $w_i$ is $a_i$ times a vector that does not depend on the unit. So all units move
# along one line. From small weights the first steps are larger than the weights themselves, so the
# units turn towards this line. From large weights the same steps hardly turn them.
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
