# %% [markdown]
# # LSUV on a deep network
#
# **A network of 20 maxout layers learns from [`lsuv_`][initguide.lsuv_]. From He's start its
# training overflows, and from Xavier's start it hardly moves. LSUV also corrects inputs that are 30
# times too large or too small. But if they are too large, a ReLU network learns from He's start
# too. So the verdict is *holds in part*.**
#
# We also tried an activation that the paper does not use, softplus. There LSUV fails, and He's
# start trains. Each network has one learning rate, which all of its starts share.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

import initguide as init
from initguide import plotting
from initguide.experiments.claims import mishkin_2016, table

rows = mishkin_2016.run(seeds=range(5))
training = [row for row in rows if row["part"] == "training"]
_, axes = plt.subplots(len(mishkin_2016.SETTINGS), 1, figsize=(6.8, 11.5))
for ax, (name, setting) in zip(
    axes, mishkin_2016.SETTINGS.items(), strict=True
):
    some = [row for row in training if row["setting"] == name]
    plotting.curves(some, chance=np.log(10), ax=ax, legend=False)
    ax.set_title(
        f"{name}, {setting.depth} layers, learning rate {setting.lr:g}",
        loc="left",
    )

plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of four networks. Each cross in the first panel is one seed from He's
# start: its height is the loss before the first step, and after that step the loss is not a finite
# number. Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## What we measured
#
# He's and Xavier's formulas fit none of these networks: maxout and softplus units are no ReLUs, and
# the other inputs have a wrong scale.

# %%
table(mishkin_2016.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md), over 5 seeds. *Learned* is 1 if
# the accuracy is above one half. The loss is the mean of the last 50 steps. The row marked
# *against* speaks against [the claim](index.md). The two rows about softplus are our addition to
# the claim.
# -->
#
# We also ran this once with 30 other seeds, and all inequalities held on every seed.
#
# ## The four networks
#
# LSUV scales each layer so that its outputs have variance one, measured on a batch. Mishkin and
# Matas use it for tanh, ReLU, leaky ReLU and maxout units. A *maxout* unit is the larger of two
# sums. Our first network has 20 layers of them. The second has ReLUs, and inputs that are
# multiplied by 30. The third has ReLUs, and inputs that are divided by 30. The fourth has softplus
# units, $\ln(1 + e^z)$. All are 64 units wide and learn the digits by plain gradient descent.
#
# Inputs times 30 need a small learning rate, because they also make the gradient of the first
# layer 30 times larger. At this rate He's network learns too, but more slowly. Its first loss is
# far above the loss of guessing.
#
# ## The right variance for maxout
#
# Let $a$ and $b$ be independent normal sums with mean zero. Then
# $\max(a,b)^2 + \min(a,b)^2 = a^2 + b^2$. Both squares on the left have the same mean, because
# changing the signs of $a$ and $b$ exchanges them. So a maxout unit keeps the mean square of its
# sums, and the right variance is LeCun's $1/n$, where $n$ is the fan-in.
#
# He's variance is twice as large, a factor of $2^{20}$ over 20 layers. Xavier's variance divides
# by the mean of 64 and 128, which gives a factor of $2/3$ per layer. LSUV finds the right scale
# without this derivation.
#
# ## Where LSUV is worse
#
# Softplus is positive everywhere, so its outputs have a large mean. The sums of the next layer then
# differ mostly from *unit to unit*, and hardly from input to input. LSUV measures one variance over
# all units and all inputs together, and makes it one. But the part that differs between inputs
# becomes smaller in each layer:

# %% The code that draws this figure
start = [
    row
    for row in rows
    if row["part"] == "start" and row["setting"] == "softplus"
]
plotting.signals(start, y="std")

# %% [markdown]
# <!-- figure: The std over inputs in ten softplus layers before training; layer 11 is the output.
# It shrinks from both starts, and faster from LSUV. Bands: range over 5 seeds. -->
#
# For softplus no gain keeps both the signal and the gradient. The gain that keeps the size of the
# signal is small, because most of this signal is its mean. With this gain the part that differs
# between inputs shrinks, and so does the gradient. The gain that keeps the gradient is much larger.
# He's gain is between the two:

# %%
for kind in ("forward", "backward"):
    print(f"{kind}: {init.gain('softplus', kind):.2f}")
print(f"He: {init.gain('relu'):.2f}")

# %% [markdown]
# ## What it does not show
#
# - That LSUV beats a derivation. It finds the scale that a formula with the right gain has. Use it
#   for a layer that no formula covers.
# - That unit variance is always right. If the activation has a large mean, measure the std over the
#   batch too.
# - Which start is best at its own best rate. Each network trained at one rate.
# - The accuracies of the paper. They come from long training of deep convolutional networks.
#
# More: [LSUV, the method](../guide/methods/lsuv.md).
