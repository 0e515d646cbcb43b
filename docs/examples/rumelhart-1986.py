# %% [markdown]
# # Rumelhart 1986: symmetry
#
# **From a constant, all 32 units of a layer learn the same weights, and the network stays far
# behind; from zeros, ReLU networks do not move one weight, and sigmoid networks move all units as
# one. From small random weights each unit learns its own.** The paper says so in half a sentence:
# its weights start small and random, to break symmetry.

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import rumelhart_1986, table

rows = rumelhart_1986.run(seeds=range(5), nonlinearities=("relu", "sigmoid"), lr=0.3, steps=300)

# %% [markdown]
# ## What units with equal weights learn
#
# Units that see the same inputs through the same weights, and hand on through equal weights, get
# the same gradient. So they stay equal after each step. Above is what the networks make of it,
# below what the first layer has learned: one 8 by 8 picture of weights for each unit.

# %%
_, axes = plt.subplot_mosaic(
    [["curves"] * 3, list(rumelhart_1986.STARTS)], figsize=(6.8, 7.4), height_ratios=(1, 1.3)
)
relu = [row for row in rows if row["nonlinearity"] == "relu"]
plotting.curves(relu, y="accuracy", chance=0.1, ax=axes["curves"], legend=False)
for row in relu:
    if row.get("end") and row["seed"] == 0:
        ax, name = axes[row["initialization"]], row["initialization"]
        # Four units side by side, with a line of nothing between them.
        tiles = np.pad(row["weights"].reshape(8, 4, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1)))
        picture = tiles.transpose(0, 2, 1, 3).reshape(80, 40)
        limit = np.abs(picture).max() or 1
        ax.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set_title(name, loc="left")
plotting.shared_legend([axes["curves"]])

# %% [markdown]
# <!-- figure: ReLU network: only random weights learn. Below, the incoming weights of all 32 units
# after training (red above zero, blue below; seed 0): none, one picture 32 times, 32 pictures. -->
#
# ## What we measured
#
# *Units apart* is the share of the first layer's weights, in norm, that is not the same in all
# units: zero for copies.

# %%
table(rumelhart_1986.CLAIM)

# %% [markdown]
# <!-- table: What the verdict in [the table of claims](index.md) is made of, over 5 seeds. Without
# random weights the seed only orders the data. -->
#
# ## What it does not show
#
# - That zeros mean no gradient: a sigmoid gives out one half at zero, and so the layers begin to
#   move, one after the other.
# - That only random weights can tell units apart. Dropout and random biases do, if slowly: see
#   [zero and constant](../guide/methods/constant.md).
# - That zero is wrong everywhere: biases and the last layer may start there.
