# %% [markdown]
# # Rumelhart 1986: symmetry
#
# **If all weights of a layer start equal, its 32 units stay copies of each other, and the network
# learns much less than from random weights. If all weights start at zero, a ReLU network changes
# only its output biases. A sigmoid network changes its weights too, but in the same way for all
# units. From random weights each unit learns its own weights. The verdict is *holds*.**
#
# The paper starts from small random weights "to break symmetry". We compare random weights with
# equal weights, but not small random weights with large ones.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import rumelhart_1986, table

rows = rumelhart_1986.run(
    seeds=range(5), nonlinearities=("relu", "sigmoid"), lr=0.3, steps=300
)
_, axes = plt.subplot_mosaic(
    [["curves"] * 3, list(rumelhart_1986.STARTS)],
    figsize=(6.8, 7.4),
    height_ratios=(1, 1.3),
)
relu = [row for row in rows if row["nonlinearity"] == "relu"]
plotting.curves(relu, y="accuracy", chance=0.1, ax=axes["curves"], legend=False)
for row in relu:
    if row.get("end") and row["seed"] == 0:
        ax, name = axes[row["initialization"]], row["initialization"]
        # Four units side by side, with a line of nothing between them.
        tiles = np.pad(
            row["weights"].reshape(8, 4, 8, 8), ((0, 0), (0, 0), (1, 1), (1, 1))
        )
        picture = tiles.transpose(0, 2, 1, 3).reshape(80, 40)
        limit = np.abs(picture).max() or 1
        ax.imshow(
            picture,
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
        )
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.set_title(name, loc="left")
plotting.shared_legend([axes["curves"]])

# %% [markdown]
# <!-- figure: Above: the accuracy of ReLU networks, mean and range over 5 seeds. From Xavier's
# random weights they learn. From a constant they stay below 0.25. From zeros they give all images
# one class, which is rare among the test images. Below: the incoming weights of the 32 units of the
# first layer after training, one picture per unit (red: above zero, blue: below zero; seed 0). From
# zeros all weights are still zero. From a constant all units have the same weights. -->
#
# ## Why equal units stay equal
#
# Two units get the same gradient if they have the same incoming weights and the same outgoing
# weights. So they stay equal after each step.
#
# If all weights are zero, a ReLU layer has the output zero and passes no gradient back. Then only
# the biases of the last layer get a gradient. They learn how often each class occurs in the
# training images. So all images get one class, and the accuracy is its share of the test images. A
# sigmoid of zero is one half, so the last weights of a sigmoid network get a gradient, and after
# them the other layers.
#
# ## What we measured
#
# *Units apart* is the norm of the part of the first layer's weights that differs between units,
# divided by the norm of all of its weights. It is zero if all units are copies. The *rank* of a
# matrix whose rows are all equal is one.

# %%
table(rumelhart_1986.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md), over 5 seeds. Weights are those
# of the first layer. Where the weights are not random, the seed decides only the order of the data.
# -->
#
# We also ran this once with twice as many steps, and all inequalities held on every seed.
#
# ## What it does not show
#
# - How small random weights must be. All random weights here have Xavier's variance.
# - That only random weights make units differ. Dropout and random biases make them differ too, but
#   slowly: see [zero and constant](../guide/methods/constant.md).
# - Other learning rates. All networks train at rate 0.3.
# - That zero is wrong everywhere. Biases and the last layer may start at zero.
