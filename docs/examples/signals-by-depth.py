# %% [markdown]
# # Signals by depth
#
# Of five initializations only He's carries signal and gradient through 50 ReLU layers. The others
# multiply them by a constant at each layer, so that they die or explode exponentially, and theory
# names the constant beforehand. PyTorch's default looks sound, and is not: its signal keeps a size,
# but no longer depends on the input.

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
# Let the weights have variance $\sigma_w^2/n$ and the biases $\sigma_b^2$. A wide layer turns an
# input of second moment $q$ into sums of second moment $\sigma_w^2 q + \sigma_b^2$, and a ReLU
# keeps half of it. Without biases each layer thus multiplies the rms by $\sigma_w/\sqrt2$, which is
# one for He alone. [`propagate`][initguide.propagate] carries the recursion to any depth.

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
# The scale of that figure hides the middle. Here are the three that stay inside it:

# %%
three = ("PyTorch default", "Xavier", "He")
plotting.signals(
    [row for row in rows if row["initialization"] in three],
    theory={name: theory[name] for name in three},
)

# %% [markdown]
# <!-- figure: Xavier loses a factor $\sqrt2$ a layer; PyTorch's default seems to settle. Bands:
# range over 5 seeds; dotted: theory. -->
#
# ## The gradient takes the same road back
#
# A gradient of rms one enters at the top. On its way down each layer multiplies it by
# $\sqrt{\chi_1} = \sigma_w/\sqrt2$: for a ReLU the factor of the way up, biases apart. So the
# gradient shows what the signal under PyTorch's default hid.

# %%
plotting.gradients(rows, theory=theory)

# %% [markdown]
# <!-- figure: The gradient by layer: under PyTorch's default it vanishes faster than Xavier's,
# though the signal did not. Bands: range over 5 seeds; dotted: theory. -->
#
# ## The factor, measured
#
# The growth over the upper half of the layers, as a factor a layer: median and range over seeds.


# %%
def growth(name, y):
    """Return the factor a layer by which y grows from the middle to the top, for each seed."""
    middle, top = (
        np.array([r[y] for r in rows if r["initialization"] == name and r["layer"] == layer])
        for layer in (DEPTH // 2, DEPTH)
    )
    return (top / middle) ** (2 / DEPTH)


def said(values):
    """Return the median and the range."""
    return f"{np.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


[
    {
        "initialization": name,
        "signal": said(growth(name, "rms")),
        "theory": float(predicted.rms[-1] / predicted.rms[DEPTH // 2 - 1]) ** (2 / DEPTH),
        "gradient": said(1 / growth(name, "gradient_rms")),
        "its theory": float(predicted.chi_1[-1]) ** 0.5,
    }
    for name, predicted in theory.items()
]

# %% [markdown]
# <!-- table: Growth of the rms a layer, upwards for the signal and downwards for the gradient; 5
# seeds. -->
#
# All five use the same draws at different scales, so they miss theory by the same few percent: that
# is the chance of 256 units, not of the method.
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
colour, ink = plotting.COLORS["PyTorch default"], plt.rcParams["text.color"]
_, ax = plt.subplots()
for y, style, label in (
    ("rms", "-", "rms: its size"),
    ("std", "--", "std over the batch: its news"),
):
    runs = np.array([[row[y] for row in default if row["layer"] == layer] for layer in layers])
    ax.semilogy(layers, np.median(runs, axis=1), style, color=colour, label=label)
    ax.fill_between(layers, runs.min(1), runs.max(1), color=colour, alpha=0.3)
ax.semilogy(layers, runs[0].mean() * 6 ** (-(layers - 1) / 2), ":", color=ink, label="theory")
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
# - Theory assumes endless width, and still is hard to tell from the measurement. The bands, chance
#   of single draws of 256 units, widen with depth.
# - A healthy rms proves nothing by itself. Measure the spread over the batch, or the gradient:
#   both show at once that PyTorch's default does not carry 50 plain ReLU layers.
#
# More: [why initialization matters](../guide/what-are-initializations.md),
# [He](../guide/methods/he.md), and the [theory's functions](../api/propagation.md).
