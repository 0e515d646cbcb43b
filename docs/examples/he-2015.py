# %% [markdown]
# # He 2015: 30 ReLU layers
#
# **From He's variance, $2/n$, ReLU networks of 22 and of 30 layers learn the digits at once. From
# Xavier's, $1/n$, neither leaves chance: at each layer the ReLU halves the second moment of signal
# and gradient, and after 22 layers too little is left to learn from.** The paper's network of 22
# layers did learn from Xavier's, if more slowly; ours, at one learning rate and in 400 steps, does
# not.

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import he_2015, table

rows = he_2015.run(seeds=range(5), depths=(22, 30), width=128, lr=0.01, steps=400)

# %% [markdown]
# ## What the paper shows
#
# He et al. train the same image networks from both variances (their figures 2 and 3). Here it is
# fully connected layers of 128 units, on the digits, by plain gradient descent.

# %%
_, axes = plt.subplots(2, 1, figsize=(6.8, 6), sharex=True, sharey=True)
for ax, depth in zip(axes, (22, 30), strict=True):
    some = [row for row in rows if row["depth"] == depth]
    plotting.curves(some, chance=np.log(10), ax=ax, legend=False)
    ax.set_title(f"{depth} layers", loc="left")
axes[0].set_xlabel("")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of ReLU networks. He's start learns at both depths; Xavier's stays at
# chance. Bands: range over 5 seeds. -->
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(he_2015.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 50 steps, over 5 seeds. -->
#
# ## What it does not show
#
# - That Xavier's start never learns: it is one learning rate, and 400 steps.
# - That 30 layers are worth having. The paper's own network of 30 did no better than its shallower
#   ones.
#
# More: [He initialization](../guide/methods/he.md).
