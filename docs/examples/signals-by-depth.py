# %% [markdown]
# # Signals by depth
#
# In a stack of 50 ReLU layers only He's initialization carries both the signal and the gradient
# through. Every other scale multiplies them by a constant at each layer, so that they die or
# explode exponentially, and theory names the constant beforehand. PyTorch's default looks sound,
# and is not: its signal keeps a size, but no longer depends on the input.

# %%
import math

import matplotlib.pyplot as plt
import numpy as np

import initguide as init
from initguide import plotting
from initguide.experiments import INITIALIZATIONS, signals_by_depth

DEPTH, WIDTH = 50, 256
rows = signals_by_depth(INITIALIZATIONS, depth=DEPTH, width=WIDTH, batch=64, seeds=range(5))

# %% [markdown]
# ## What theory says
#
# With weights of variance $\sigma_w^2/n$ and biases of variance $\sigma_b^2$, a wide ReLU layer maps
# the second moment of its input to $\tfrac12 \sigma_w^2\, q + \sigma_b^2$ in two steps: the sum has
# second moment $\sigma_w^2 q + \sigma_b^2$, and a ReLU keeps half of it. Without biases each layer
# multiplies the rms by $\sigma_w/\sqrt2$, which is one for He alone.
# [`propagate`][initguide.propagate] carries the recursion to any depth.

# %%
n = WIDTH
scales = {  # sigma_w, sigma_b
    "PyTorch default": (math.sqrt(1 / 3), math.sqrt(1 / (3 * n))),
    "Xavier": (1.0, 0.0),
    "He": (math.sqrt(2), 0.0),
    "std 0.01": (0.01 * math.sqrt(n), 0.0),
    "std 1.0": (1.0 * math.sqrt(n), 0.0),
}
theory = {
    name: init.propagate("relu", sigma_w, sigma_b, depth=DEPTH)
    for name, (sigma_w, sigma_b) in scales.items()
}

# %%
plotting.signals(rows, theory=theory)

# %% [markdown]
# <!-- figure: The signal by layer: only He keeps its size. Bands: range over 5 seeds, width 256;
# dotted: theory. -->
#
# ## The gradient takes the same road back
#
# A gradient of rms one enters at the top. On its way down each layer multiplies it by
# $\sqrt{\chi_1} = \sigma_w/\sqrt2$: for a ReLU that is the factor of the way up.

# %%
plotting.gradients(rows, theory=theory)

# %% [markdown]
# <!-- figure: The gradient by layer: under PyTorch's default it vanishes like Xavier's, though the
# signal did not. Bands: range over 5 seeds; dotted: theory. -->
#
# ## The factor, measured
#
# The growth from the first layer to the last, as a factor a layer: median and range over seeds.


# %%
def factors(name, y):
    """Return each seed's growth of y a layer."""
    ends = {
        (row["seed"], row["layer"]): row[y]
        for row in rows
        if row["initialization"] == name and row["layer"] in (1, DEPTH)
    }
    seeds = {seed for seed, _ in ends}
    return [(ends[seed, DEPTH] / ends[seed, 1]) ** (1 / (DEPTH - 1)) for seed in sorted(seeds)]


[
    {
        "initialization": name,
        "signal, median": float(np.median(growth := factors(name, "rms"))),
        "least": min(growth),
        "most": max(growth),
        "theory": float((predicted.rms[-1] / predicted.rms[0]) ** (1 / (DEPTH - 1))),
        "gradient, downwards": 1 / float(np.median(factors(name, "gradient_rms"))),
    }
    for name, predicted in theory.items()
]

# %% [markdown]
# <!-- table: Growth of the rms a layer, up for the signal and down for the gradient. -->
#
# float32 ends near $10^{\pm 38}$. The layer at which each signal would leave it, if it does:

# %%
smallest, largest = np.finfo(np.float32).tiny, np.finfo(np.float32).max
for name, predicted in theory.items():
    outside = np.flatnonzero((predicted.rms < smallest) | (predicted.rms > largest))
    print(f"{name}: {f'layer {outside[0] + 1}' if len(outside) else 'never'}")

# %% [markdown]
# ## A signal that has forgotten its input
#
# The rms under PyTorch's default settles because its biases feed each layer anew, with the same
# numbers whatever the input. What depends on the input is the spread *over the batch*, and that
# shrinks by $\sqrt{\chi_1} = 1/\sqrt6$ a layer, down to the rounding of float64.

# %%
default = [row for row in rows if row["initialization"] == "PyTorch default"]
layers = np.arange(1, DEPTH + 1)
fig, ax = plt.subplots()
for y, label in (("rms", "rms: size of the signal"), ("std", "std over the batch: what it tells")):
    runs = np.array([[r[y] for r in default if r["layer"] == layer] for layer in layers])
    (line,) = ax.semilogy(layers, np.median(runs, axis=1), label=label)
    ax.fill_between(layers, runs.min(1), runs.max(1), alpha=0.3, color=line.get_color())
ax.semilogy(layers, runs[0].mean() * 6 ** (-(layers - 1) / 2), "--", color=plt.rcParams["text.color"], lw=1, label=r"$6^{-l/2}$")
ax.set(xlabel="layer", ylabel="activations")
ax.legend()

# %% [markdown]
# <!-- figure: PyTorch's default: the signal keeps its size, but ever less of it depends on the
# input. Bands: range over 5 seeds. -->

# %%
for layer in (1, 10, 20, DEPTH):
    shares = [row["std"] / row["rms"] for row in default if row["layer"] == layer]
    print(f"layer {layer:2}: std/rms {np.median(shares):.1e}")

# %% [markdown]
# ## Interpretation
#
# - One number a layer decides: above one the signal explodes, below one it dies, and 50 layers
#   raise it to the 50th power. There is no "somewhat too small".
# - Theory, which assumes endless width, is drawn over the measurement and is hard to tell from it;
#   the bands, from 256 units and single draws, widen with depth.
# - A healthy rms proves nothing by itself. Measure the spread over the batch, or the gradient:
#   both show at once that PyTorch's default does not carry 50 plain ReLU layers.
#
# More: [why initialization matters](../guide/what-are-initializations.md),
# [He](../guide/methods/he.md), and the [theory's functions](../api/propagation.md).
