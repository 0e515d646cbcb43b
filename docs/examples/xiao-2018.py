# %% [markdown]
# # Xiao 2018: 100 plain convolutions
#
# **From delta-orthogonal kernels a plain tanh network of 100 convolutions knows more than half of
# the digits that it has not seen after 100 steps. From Gaussian or flattened orthogonal kernels it
# stays at chance. Fully connected networks of 200 layers begin to learn from orthogonal matrices,
# and not from Gaussian ones.** No skip connections, no normalization. The paper goes on to 10,000
# layers; we do not.

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, xiao_2018

rows = xiao_2018.run(seeds=range(5), depth=100, channels=8, steps=100)

# %% [markdown]
# ## Isometry, or signals lost on the way
#
# 100 convolutions of 3×3 with 8 channels, the first of stride 2, on maps of 4×4; batches of 16.
# Below, 200 fully connected layers of 32 units, batches of 20. Plain gradient descent with learning
# rate 0.01, all gains 1. The Gaussian's variance is 1/fan_in.

# %%
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.4), sharey=True)
titles = {"convolutions": "100 convolutions", "fully connected": "200 fully connected layers"}
for ax, (network, title) in zip(axes, titles.items(), strict=True):
    some = [row for row in rows if row["network"] == network]
    plotting.curves(some, log=False, chance=np.log(10), ax=ax, legend=False)
    ax.set_title(title, loc="left")
axes[0].set_xlabel("")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of plain tanh networks. Delta-orthogonal convolutions and orthogonal
# matrices learn; the others stay at chance. Mean and range over 5 seeds. -->
#
# A delta-orthogonal kernel is an orthogonal matrix at its centre and zero around it. Each layer
# keeps all lengths, but for what the tanh takes. The other kernels are right on average only: most
# directions fade, a few grow, and zero padding takes its part at the border.
# [The guide](../advanced/delta-orthogonal.md) derives it and draws the singular values.
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(xiao_2018.CLAIM)

# %% [markdown]
# <!-- table: Loss of the last 20 steps (convolutions) or 30 steps (dense), and held-out accuracy,
# over 5 seeds. -->
#
# ## What it does not show
#
# - Depth without limit. It is 100 layers, of 8 channels.
# - That depth pays: we did not train a shallower network.
# - That Gaussian kernels cannot learn: it is one learning rate, and 100 steps.
#
# More: [Delta-orthogonal](../advanced/delta-orthogonal.md),
# [Orthogonal](../guide/methods/orthogonal.md).
