# %% [markdown]
# # Rumelhart 1986: symmetry
#
# **From equal weights, all 32 units of a layer learn the same weights, and the network learns much
# less than from random weights. From zeros, a ReLU network does not change any weight, and a
# sigmoid network changes all units in the same way. From small random weights, each unit learns its
# own weights.**
#
# The paper gives this reason in half a sentence: its weights start small and random, to break
# symmetry.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import rumelhart_1986, table

rows = rumelhart_1986.run(seeds=range(5), nonlinearities=("relu", "sigmoid"), lr=0.3, steps=300)
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
# ## Why equal units stay equal
#
# Two units get the same gradient if they have the same incoming weights and the same outgoing
# weights. So they stay equal after each step.
#
# ## What we measured
#
# *Units apart* is the norm of the part of the first layer's weights that differs between units,
# divided by the norm of all of its weights. It is zero if all units are copies.

# %%
table(rumelhart_1986.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide the verdict in [the table of claims](index.md), over 5
# seeds. Without random weights the seed decides only the order of the data. -->
#
# ## What it does not show
#
# - That zeros mean no gradient. A sigmoid of zero is one half, so the layers of a sigmoid network
#   begin to change, one after another.
# - That only random weights make units differ. Dropout and random biases make them differ too, but
#   slowly: see [zero and constant](../guide/methods/constant.md).
# - Other learning rates. All networks train at rate 0.3.
# - That zero is wrong everywhere. Biases and the last layer may start at zero.
