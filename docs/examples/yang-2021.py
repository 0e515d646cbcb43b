# %% [markdown]
# # Yang 2021: a rate for every width
#
# **In the standard parametrization, the best learning rate becomes smaller as the network becomes
# wider. A network of 256 units at the best rate of 32 units has a much larger loss than at its own
# best rate. In the maximal update parametrization (muP) the best rate stays about the same. So you
# can search for it with a narrow network. The verdict is *holds*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, yang_2021

rows = yang_2021.run(seeds=range(5), widths=(32, 64, 128, 256), hidden=3, steps=30)
_, axes = plt.subplots(2, 1, figsize=(6.8, 7), sharex=True, sharey=True)
axes[0].set_ylim(0.4, 3)
for ax, name in zip(axes, ("standard", "muP"), strict=True):
    points = [
        row | {"step": np.log2(row["lr"]), "units": f"{row['width']} units"}
        for row in rows
        if row["parametrization"] == name
    ]
    plotting.curves(points, by="units", ax=ax, legend=False)
    for line in list(ax.lines):
        x, y = line.get_data()
        best, colour = np.argmin(y), line.get_color()
        ax.plot(x[best], y[best], "*", color=colour, markersize=20, zorder=6)
    ax.set_title(name, loc="left")
    ax.set(xlabel="", ylabel="mean loss of 30 steps")
axes[1].set_xlabel("log₂ of the learning rate")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss at seven rates of Adam, one line per width, with a star at its best
# rate. In the standard parametrization the star moves to the left as the width grows. In muP it
# stays. Bands: range over 5 seeds. -->
#
# ## What we measured
#
# The networks have three hidden ReLU layers and train on the digits, for 30 steps of Adam. At 32
# units both parametrizations are the same. The best rate is the lowest point of a parabola through
# the least loss and its two neighbours. These inequalities decide the verdict in
# [the table of claims](index.md), and a test asserts them.

# %%
table(yang_2021.CLAIM)

# %% [markdown]
# <!-- table: From 32 to 256 units: the change of the best rate in powers of two. Then the least
# loss of 256 units, divided by their loss at the best rate of 32 units. Over 5 seeds. -->
#
# ## Why the rules differ from layer to layer
#
# Yang et al. tune a small model and train a large model with the same settings. For this the
# effect of a step must not depend on the width $n$. With Adam:
#
# - A step changes each weight by about $\eta$, with the sign of error times input. If the same
#   input comes again, the $n$ changes of a unit's weights add up, and its argument moves by
#   $\eta\, n$. So **weights with $n$ inputs get a rate $\propto 1/n$**. The first layer has a fixed
#   number of inputs, so it keeps its rate. The biases keep their rate too.
# - The weights $w_i$ of the head multiply the changes $\Delta h_i$ of the hidden units. Each change
#   has the sign of its weight, so the sum $\sum_i w_i\, \Delta h_i$ has the size $n\,|w|$. With the
#   usual std of $1/\sqrt n$ it grows like $\sqrt n$. So **the head starts with the std $1/n$**.
# - Hidden weights keep the std $\propto 1/\sqrt n$. The reason is that of
#   [He initialization](../guide/methods/he.md).
#
# ## What it does not show
#
# - That muP trains better. These are the losses of 256 units, each seed at its best of seven rates:

# %%
for name in ("standard", "muP"):
    losses = {}
    for row in rows:
        if (row["parametrization"], row["width"]) == (name, 256):
            losses.setdefault(row["seed"], []).append(row["loss"])
    least = [min(each) for each in losses.values()]
    print(f"{name}: {np.mean(least):.2f} [{min(least):.2f}, {max(least):.2f}]")

# %% [markdown]
# - Long training, other hyperparameters, or other depths.
# - Plain gradient descent, which has other rules. There the first layer gets a rate $\propto n$,
#   and the head gets a rate $\propto 1/n$.
#
# More: [an initialization for an architecture](../guide/best-practices.md#architecture).
