# %% [markdown]
# # Three-layer histograms
#
# Three layers are too few to ruin a network, but enough to see where each initialization leads:
# the spread of the activations already grows or shrinks from layer to layer. At 20 layers only He's
# activations, and only He's gradients, still have about the spread that they began with.

# %%
import numpy as np
import torch

from initguide import plotting
from initguide.experiments import INITIALIZATIONS, activations, gradients, mlp

SEEDS = range(5)


def network(widths, name, seed):
    """Return a ReLU network drawn by one of the five initializations."""
    generator = torch.Generator().manual_seed(seed)
    model = mlp(widths, generator=generator)
    INITIALIZATIONS[name](model, generator)
    return model


x = torch.randn(1000, 100, generator=torch.Generator().manual_seed(100))

# %% [markdown]
# ## Five initializations, three layers
#
# A network of 100-100-100-10 with ReLUs is fed 1000 normal inputs. Of each initialization we look
# at what the first layer and the last layer give out.

# %%
small = {name: activations(network((100, 100, 100, 10), name, 0), x) for name in INITIALIZATIONS}
plotting.histograms(small, layers=(1, 3))

# %% [markdown]
# <!-- figure: Activations of the first and the last layer of a three-layer network, one draw each,
# with their mean and std. -->
#
# Read the axes: the shapes are alike, the scales are not. The first layer's values are cut at zero
# by its ReLU; the last layer has none, so its values spread to both sides. The numbers do not hang
# on the draw: over five seeds the std of the last layer's values is


# %%
def spread(name, widths, layer):
    """Return the median and the range over seeds of the std at a layer."""
    stds = [activations(network(widths, name, seed), x)[layer]["std"] for seed in SEEDS]
    return {"median": float(np.median(stds)), "least": min(stds), "most": max(stds)}


[{"initialization": name} | spread(name, (100, 100, 100, 10), -1) for name in INITIALIZATIONS]

# %% [markdown]
# <!-- table: The std of a three-layer network's output over 5 draws. -->
#
# ## The same at 20 layers
#
# Now 20 hidden layers of 100. The first histogram of each is as before; the last hidden layer shows
# what 20 repetitions of one factor do. (Compare the scales, powers of ten included.)

# %%
DEEP = (*[100] * 21, 10)
deep = {name: activations(network(DEEP, name, 0), x) for name in INITIALIZATIONS}
plotting.histograms(deep, layers=(1, 20))

# %% [markdown]
# <!-- figure: Activations of hidden layers 1 and 20: only He's still have the spread that they
# began with. -->

# %%
[{"initialization": name} | spread(name, DEEP, 19) for name in INITIALIZATIONS]

# %% [markdown]
# <!-- table: The std of the activations in hidden layer 20, over 5 draws. -->
#
# ## Gradients
#
# Backwards the order turns round: the gradient is born at the output and fades, or grows, on its
# way *down*. Here are the gradients of the loss with respect to the activations, against random
# classes, in the first and in the last hidden layer.

# %%
y = torch.randint(0, 10, (1000,), generator=torch.Generator().manual_seed(101))
slopes = {name: gradients(network(DEEP, name, 0), x, y) for name in INITIALIZATIONS}
plotting.histograms(slopes, layers=(1, 20))

# %% [markdown]
# <!-- figure: Gradients at hidden layers 1 and 20: under every initialization but He's the first
# layer gets a gradient that is far from what the last one gets. -->
#
# The ratio of the two, the first hidden layer's rms over the last one's, against the $\chi_1$ of
# theory: a ReLU network multiplies the gradient's second moment by $\sigma_w^2/2$ at each layer.


# %%
def ratio(name, seed):
    """Return the gradient's rms at hidden layer 1 over that at hidden layer 20."""
    rows = gradients(network(DEEP, name, seed), x, y)
    return rows[0]["rms"] / rows[19]["rms"]


sigma_w = {
    "PyTorch default": (1 / 3) ** 0.5,
    "Xavier": 1,
    "He": 2**0.5,
    "std 0.01": 0.01 * 100**0.5,
    "std 1.0": 100**0.5,
}
[
    {
        "initialization": name,
        "median": float(np.median(ratios := [ratio(name, seed) for seed in SEEDS])),
        "least": min(ratios),
        "most": max(ratios),
        "theory": (sigma_w[name] ** 2 / 2) ** (19 / 2),
    }
    for name in INITIALIZATIONS
]

# %% [markdown]
# <!-- table: The gradient in hidden layer 1 over that in hidden layer 20, over 5 draws. -->
#
# ## Interpretation
#
# - One histogram tells little; two of them, layers apart, tell the factor between. Watch how the
#   spread *changes* with depth, not the shape of one layer.
# - The first layer looks healthy in all five. It still hears of the loss only as much as the layers
#   above it let through: under std 0.01 nothing, under std 1.0 far too much.
# - PyTorch's default keeps a visible spread at layer 20, because its biases spread the units
#   apart. That is a spread over units, not over inputs: see
#   [signals by depth](signals-by-depth.py).
#
# More: [section 2.4.4](../guide/visualizing.md).
