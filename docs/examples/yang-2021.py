# %% [markdown]
# # Yang 2021: a rate for every width
#
# **In the standard parametrization a wide network wants a smaller learning rate than a narrow one:
# of 256 units, at the rate that was best for 32, it is far from its best. In the maximal update
# parametrization (muP) the best rate stays where it was. So it can be searched for on the narrow
# network.**

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, yang_2021

rows = yang_2021.run(seeds=range(5), widths=(32, 64, 128, 256), hidden=3, steps=30)

# %% [markdown]
# ## What the paper shows
#
# Yang et al. tune a small model and train a large one with what they found. That asks for a start
# and for rates whose effect does not depend on the width $n$. With Adam:
#
# - A step moves each weight by about $\eta$, its sign that of error times input. When the input
#   comes again, the $n$ changes in front of a unit all pull the same way: its argument moves by
#   $\eta\, n$. So **weights with $n$ inputs take a rate $\propto 1/n$**. The first layer's inputs
#   do not grow in number, so it keeps its rate, and so do the biases.
# - The head meets hidden units that have moved by $\Delta h$, each in the direction that its own
#   weight $w_i$ asked for. The sum $\sum_i w_i\, \Delta h_i$ has the size $n\,|w|$, and with the
#   usual std of $1/\sqrt n$ it grows as $\sqrt n$. So **the head starts with the std $1/n$**.
# - Hidden weights keep the std $\propto 1/\sqrt n$ for the reason that
#   [He](../guide/methods/he.md) has.
#
# Ours are three hidden layers of ReLUs on the digits, 30 steps of Adam. Both parametrizations agree
# at 32 units.

# %%
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
# <!-- figure: Training loss over Adam's rate, a line for each width, a star at its best rate. The
# standard one's moves to the left as the network grows; muP's stays. Bands: range over 5 seeds. -->
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.
# The best rate is the lowest point of a parabola through the least loss and its two neighbours.

# %%
table(yang_2021.CLAIM)

# %% [markdown]
# <!-- table: From 32 to 256 units: by how many powers of two the best rate moves; then the least
# loss of 256 units, divided by theirs at the rate that was best for 32. Over 5 seeds. -->
#
# ## What it does not show
#
# - That muP trains better. Tuned at 256 units, each at its best:

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
# - Plain gradient descent. Its rules differ: there the first layer takes a rate $\propto n$, the
#   head one $\propto 1/n$.
#
# More: [an initialization for an architecture](../guide/best-practices.md#architecture).
