# %% [markdown]
# # LSUV on a deep network
#
# **A deep maxout network, for which neither common rule was made: from He's its training overflows,
# from Xavier's it hardly moves, and from [`lsuv_`][initguide.lsuv_] it learns at once, because LSUV
# *measures* what the rules compute. It mends inputs of a wrong scale likewise. But where unit
# variance is the wrong aim, as with softplus, LSUV fails and He's rule trains.**

# %%
import matplotlib.pyplot as plt
import numpy as np

import initguide as init
from initguide import plotting
from initguide.experiments.claims import mishkin_2016, table

rows = mishkin_2016.run(seeds=range(5))

# %% [markdown]
# ## What the paper shows
#
# Mishkin and Matas train networks of maxout, tanh, ReLU and leaky units from one recipe: scale each
# layer to unit variance, measured on a batch. Here a network has 20 layers of maxout units, each
# the larger one of two sums; two have ReLUs, but inputs times 30 or divided by it; and one has
# softplus units, $\ln(1 + e^z)$. All are 64 units wide and learn the digits by plain gradient
# descent.

# %%
training = [row for row in rows if row["part"] == "training"]
_, axes = plt.subplots(len(mishkin_2016.SETTINGS), 1, figsize=(6.8, 11.5))
for ax, (name, setting) in zip(axes, mishkin_2016.SETTINGS.items(), strict=True):
    some = [row for row in training if row["setting"] == name]
    plotting.curves(some, chance=np.log(10), ax=ax, legend=False)
    ax.set_title(f"{name}, {setting.depth} layers, learning rate {setting.lr:g}", loc="left")
    ax.set_xlabel("step" if ax is axes[-1] else "")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: LSUV trains the maxout network, and inputs of either scale; of softplus layers only
# He's does. Bands: range over 5 seeds; a cross: the loss overflowed. -->
#
# ## What we measured
#
# Inputs times 30 get a small learning rate: a factor on the inputs is one on the first layer's
# gradient, and LSUV has made that layer's weights 30 times smaller. At this rate He's
# network learns as well, more slowly, after a first loss that is far beyond chance.

# %%
table(mishkin_2016.CLAIM)

# %% [markdown]
# <!-- table: What the verdict in [the table of claims](index.md) is made of, over 5 seeds. Learned:
# 1 if the accuracy is above one half. The loss is that of the last 10 steps. -->
#
# ## What a derivation would have found
#
# For two independent normal values $a$ and $b$, $\max^2 + \min^2 = a^2 + b^2$, and both squares
# have the same mean: turn the signs of $a$ and $b$, and the two change places. So a maxout unit
# keeps the second moment of its sums, and the right variance is $1/n$ with $n$ the fan-in, which is
# LeCun's rule. He's is twice that: $2^{20}$ over 20 layers. Xavier's divides by the mean of 64 and
# 128, for a factor of $2/3$ a layer. LSUV got there without the argument.
#
# ## Where LSUV is worse
#
# Softplus is positive everywhere, so its outputs have a large mean. The next layer's sums then vary
# mostly from *unit to unit*, and hardly from input to input. LSUV makes their variance one as it
# was asked to, and what tells the inputs apart keeps shrinking:

# %%
start = [row for row in rows if row["part"] == "start" and row["setting"] == "softplus"]
plotting.signals(start, y="std")

# %% [markdown]
# <!-- figure: Ten softplus layers at the start; layer 11 is the output. What differs between inputs
# shrinks under both, under LSUV faster. Bands: range over 5 seeds. -->
#
# The gains say the same beforehand: the scale that keeps softplus' signal is far below the one that
# keeps its gradient, and He's lies between them.

# %%
for kind in ("forward", "backward"):
    print(f"{kind}: {init.gain('softplus', kind):.2f}")
print(f"He: {init.gain('relu'):.2f}")

# %% [markdown]
# ## What it does not show
#
# - That LSUV beats a derivation: it finds the scale that a rule with the right gain has. It is the
#   tool for the layer that no rule covers.
# - That unit variance is always right. Where the activation has a large mean, it is not the
#   variance that carries the information: look at the spread over the batch.
# - The paper's accuracies, which come from long training of deep convolutional networks.
#
# More: [LSUV, the method](../guide/methods/lsuv.md).
