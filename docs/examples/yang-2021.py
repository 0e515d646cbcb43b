# %% [markdown]
# # Yang 2021: a rate for every width
#
# **In the standard parametrization, the best learning rate becomes smaller as the network becomes
# wider. A network of 256 units at the best rate of 32 units has a much larger loss than at its own
# best rate. In the maximal update parametrization (muP) the best rate stays about the same. So here
# a narrow network finds the rate for a wide one. The verdict is *holds*.**

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, yang_2021

rows = yang_2021.run(
    seeds=range(5), widths=(32, 64, 128, 256), hidden=3, steps=30
)
axes = plotting.rates_by_size(rows, "width", "units", limits=(0.4, 3))

# %% [markdown]
# <!-- figure: Training loss at seven rates of Adam, one line per width. A star marks the lowest
# point of each line. Above, it moves to the left from 64 to 256 units; below, it stays. Two lines
# leave the upper panel at its top. Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## What we measured
#
# The networks have three hidden ReLU layers and train on the digits, for 30 steps of Adam. At 32
# units both parametrizations are the same. Here each seed has its own best rate. The table measures
# two things:
#
# - *The change of the best rate* from 32 to 256 units, in powers of two. To find a best rate
#   between the seven rates, we draw a parabola through the least loss and its two neighbours, and
#   take its lowest point. (The stars in the figure lie on one of the seven rates.)
# - *The loss ratio* of the networks of 256 units: their least loss, divided by their loss at the
#   rate that is best for 32 units. It is 1 if the narrow network finds the right rate for the wide
#   one.

# %%
table(yang_2021.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md), over 5 seeds. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. All inequalities held each time, on every seed.
#
# ## Why the rules differ from layer to layer
#
# Yang et al. search for the best settings with a small model, and train a large model with them.
# For this the effect of a step must not depend on the width $n$. With Adam:
#
# - A step changes each weight by about $\eta$, with the sign of error times input. If the same
#   input comes again, the $n$ changes of a unit's weights add up, and the unit's sum moves by
#   $\eta\, n$. So **weights with $n$ inputs get a rate $\propto 1/n$**. The first layer has a fixed
#   number of inputs, so it keeps its rate. The biases keep their rate too.
# - A step changes the output by $\sum_i w_i\, \Delta h_i$, where $w_i$ are the weights of the head
#   and $\Delta h_i$ are the changes of the $n$ hidden units. With the rates above, the size of each
#   $\Delta h_i$ does not depend on the width. Each $\Delta h_i$ has the sign of its weight, so the
#   terms add up, and the sum is proportional to $n\,|w|$. With the usual std of $1/\sqrt n$ it
#   grows like $\sqrt n$. So **the head starts with the std $1/n$**.
# - Hidden weights keep the std $\propto 1/\sqrt n$. The reason is that of
#   [He initialization](../guide/methods/he.md).
#
# ## What it does not show
#
# - That muP ends lower. In this experiment its least losses are a little lower on average, but the
#   ranges over seeds overlap. These are the least losses of 256 units over the seven rates:

# %% The code
for name in ("standard", "muP"):
    losses = {}
    for row in rows:
        if (row["initialization"], row["width"]) == (name, 256):
            losses.setdefault(row["seed"], []).append(row["loss"])
    least = [min(each) for each in losses.values()]
    print(f"{name}: {np.mean(least):.2f} [{min(least):.2f}, {max(least):.2f}]")

# %% [markdown]
# - Long training, other hyperparameters, or other depths.
# - Plain gradient descent, which has other rules. There the first layer gets a rate $\propto n$,
#   and the head gets a rate $\propto 1/n$.
#
# More: [an initialization for an architecture](../guide/best-practices.md#architecture).
