# %% [markdown]
# # Three-layer histograms
#
# Three layers are enough to see the effect of an initialization. From the first hidden layer to the
# second, the std of the activations grows or shrinks, except with He's initialization. Over 20
# layers, only He's initialization keeps the activations and the gradients about as large as in one
# layer.

# %% The code that draws this figure
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
small = {
    name: activations(network((100, 100, 100, 10), name, 0), x)
    for name in INITIALIZATIONS
}
plotting.histograms(small, layers=(1, 2, 3))

# %% [markdown]
# <!-- figure: Outputs of the three layers of a small network, one draw each, with their mean and
# std. The dark bar at zero holds the zeros of the ReLU. Each panel has its own horizontal scale.
# -->
#
# ## Five initializations, three layers
#
# The input of this 100-100-100-10 ReLU network is 1000 normal vectors.
#
# Compare the first two columns. The shapes are similar, but the scales on the axes differ. With
# He's initialization the std stays about the same. With Xavier's it falls by a factor near
# $\sqrt2$. With the other three it changes more.
#
# The third layer is the output. It has no ReLU, so its values have both signs, and its std cannot
# be compared with that of the other two: a ReLU removes half of the mean square. So with Xavier's
# initialization the std of the output is about that of the first layer, although the second layer
# has a smaller one.
#
# This is the std of the second layer over five seeds:


# %% The code of the table
def spread(name, widths, layer):
    """Return the median and the range over seeds of the std at a layer."""
    stds = [
        activations(network(widths, name, seed), x)[layer]["std"]
        for seed in SEEDS
    ]
    return {
        "median": float(np.median(stds)),
        "least": min(stds),
        "most": max(stds),
    }


[
    {"initialization": name} | spread(name, (100, 100, 100, 10), 1)
    for name in INITIALIZATIONS
]

# %% [markdown]
# <!-- table: The std of the activations in the second layer, over 5 draws. -->
#
# ## The same at 20 layers
#
# This network has 20 hidden layers of 100 units. Its first hidden layer looks as before. From there
# to its last hidden layer, the weights apply the same factor 19 times. (PyTorch's default adds
# biases in each layer, so its signal settles.) Compare the scales of the axes, including their
# powers of ten.

# %% The code that draws this figure
DEEP = (*[100] * 21, 10)
deep = {
    name: activations(network(DEEP, name, 0), x) for name in INITIALIZATIONS
}
plotting.histograms(deep, layers=(1, 20))

# %% [markdown]
# <!-- figure: Activations of hidden layers 1 and 20. Of these draws, only He's has about the same
# std in both (the table has the range). -->

# %%
[{"initialization": name} | spread(name, DEEP, 19) for name in INITIALIZATIONS]

# %% [markdown]
# <!-- table: The std of the activations in hidden layer 20, over 5 draws. -->
#
# ## Gradients
#
# The gradient starts at the output. On its way *back* to the first layer it shrinks or grows. These
# are the gradients of the loss by the activations, for random classes, in the first and in the last
# hidden layer.

# %% The code that draws this figure
y = torch.randint(0, 10, (1000,), generator=torch.Generator().manual_seed(101))
slopes = {
    name: gradients(network(DEEP, name, 0), x, y) for name in INITIALIZATIONS
}
plotting.histograms(slopes, layers=(1, 20))

# %% [markdown]
# <!-- figure: Gradients at hidden layers 1 and 20. With every initialization except He's, the
# gradient in the first layer is much smaller or much larger than in the last. -->
#
# The table has the rms of the gradient in the first hidden layer, divided by that in the last. In
# theory, each ReLU layer multiplies the mean square of the gradient by $\chi_1 = \sigma_w^2/2$,
# where $\sigma_w^2$ is the variance of a weight times the fan-in.


# %% The code of the table
def ratio(name, seed):
    """Return the gradient's rms at hidden layer 1 over layer 20."""
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
        "median": float(
            np.median(ratios := [ratio(name, seed) for seed in SEEDS])
        ),
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
# - One histogram is not enough. Two histograms of different layers show the factor between these
#   layers. So watch how the std *changes* with depth.
# - The activations of the first layer have the same shape in all five, at different scales. From
#   them alone you cannot see what the gradient does, because it depends on all layers above. With
#   std 0.01 it vanishes, and with std 1.0 it explodes.
# - With PyTorch's default the activations at layer 20 differ from unit to unit, because its biases
#   do. But they hardly differ between inputs: see [signals by depth](signals-by-depth.py).
#
# More: [visualizing](../guide/visualizing.md).
