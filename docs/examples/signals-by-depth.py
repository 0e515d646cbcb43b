# %% [markdown]
# # Signals by depth
#
# Of five initializations only He's keeps the size of both the signal and the gradient in 50 ReLU
# layers. Xavier's initialization and two fixed stds multiply both by a constant factor per layer,
# so both vanish or explode. Theory predicts the factor. PyTorch's default is different, because its
# biases are not zero: its signal settles at a constant size. But this signal hardly depends on the
# input, and the gradient vanishes.

# %% The code that draws this figure
import math

import matplotlib.pyplot as plt
import numpy as np

import initguide as init
from initguide import plotting
from initguide.experiments import INITIALIZATIONS, signals_by_depth

DEPTH, WIDTH = 50, 256
rows = signals_by_depth(
    INITIALIZATIONS, depth=DEPTH, width=WIDTH, batch=64, seeds=range(5)
)
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
plotting.signals(rows, theory=theory)

# %% [markdown]
# <!-- figure: The signal by layer, on a scale of a hundred powers of ten. Dotted: theory. Lines:
# geometric mean over 5 seeds, width 256. The range over the seeds is narrower than the lines. -->
#
# ## What theory says
#
# Let the weights have variance $\sigma_w^2/n$ and the biases $\sigma_b^2$. If the input of a wide
# layer has the mean square $q$, its sums have the mean square $\sigma_w^2 q + \sigma_b^2$. A ReLU
# keeps half of it. So without biases each layer multiplies the rms by $\sigma_w/\sqrt2$. Of these
# initializations only He's has the factor 1. [`propagate`][initguide.propagate] computes the
# prediction for any depth.
#
# The figure above covers so many powers of ten that three of its lines lie close together. This
# figure shows these three:

# %% The code that draws this figure
three = ("PyTorch default", "Xavier", "He")
plotting.signals(
    [row for row in rows if row["initialization"] in three],
    theory={name: theory[name] for name in three},
)

# %% [markdown]
# <!-- figure: With Xavier the signal loses a factor of $\sqrt2$ per layer. With He it keeps its
# size. With PyTorch's default it shrinks at first and then stays constant. Lines and bands:
# geometric mean and range over 5 seeds; dotted: theory. -->
#
# ## The gradient
#
# A gradient of rms one enters at the last layer. On its way back each layer multiplies its mean
# square by $\chi_1 = \sigma_w^2/2$. So it multiplies the rms by $\sqrt{\chi_1} = \sigma_w/\sqrt2$.
# For a ReLU without biases this is also the factor of the signal. Biases do not change the factor
# of the gradient, so the gradient of PyTorch's default vanishes although its signal does not.

# %% The code that draws this figure
plotting.gradients(rows, theory=theory)

# %% [markdown]
# <!-- figure: The gradient by layer, from the last layer on the right to the first on the left.
# With PyTorch's default it vanishes faster than with Xavier, though the signal does not. Lines:
# geometric mean over 5 seeds. The range is narrower than the lines. Dotted: theory. -->
#
# ## The factor, measured
#
# We compute the growth over the upper half of the layers as a factor per layer. The table has the
# median and the range over seeds.


# %% The code of the table
def growth(name, y):
    """Return each seed's factor per layer in the upper half of the layers."""
    middle, top = (
        np.array(
            [
                r[y]
                for r in rows
                if r["initialization"] == name and r["layer"] == layer
            ]
        )
        for layer in (DEPTH // 2, DEPTH)
    )
    return (top / middle) ** (2 / DEPTH)


def summary(values):
    """Return the median and the range."""
    return f"{np.median(values):.3g} [{min(values):.3g}, {max(values):.3g}]"


[
    {
        "initialization": name,
        "signal": summary(growth(name, "rms")),
        "theory": float(predicted.rms[-1] / predicted.rms[DEPTH // 2 - 1])
        ** (2 / DEPTH),
        "gradient": summary(1 / growth(name, "gradient_rms")),
        "its theory": float(predicted.chi_1[-1]) ** 0.5,
    }
    for name, predicted in theory.items()
]

# %% [markdown]
# <!-- table: Growth of the rms per layer, upwards for the signal and downwards for the gradient; 5
# seeds. -->
#
# Xavier, He and the two fixed stds use the same random numbers at different scales. So they differ
# from theory by the same few percent. This difference comes from the finite width of 256 units. The
# signal of PyTorch's default stays constant, so there the difference is smaller.
#
# The numbers of float32 end near $10^{\pm 38}$. This is the layer at which each predicted signal
# leaves that range:

# %%
smallest, largest = np.finfo(np.float32).tiny, np.finfo(np.float32).max
for name, predicted in theory.items():
    rms = predicted.rms
    outside = np.flatnonzero((rms < smallest) | (rms > largest))
    where = f"layer {outside[0] + 1}" if len(outside) else "in no layer"
    print(f"{name}: {where}")

# %% [markdown]
# ## A signal that does not depend on its input
#
# With PyTorch's default each layer adds its biases, and these are the same numbers for all inputs.
# So the rms of the signal settles at a constant value. The std *over the batch* shows how much of
# the signal depends on the input. It shrinks by the factor $\sqrt{\chi_1} = 1/\sqrt6$ per layer,
# down to the rounding errors of float64.

# %% The code that draws this figure
default = [row for row in rows if row["initialization"] == "PyTorch default"]
layers = np.arange(1, DEPTH + 1)
colour, ink = plotting.COLORS["PyTorch default"], plt.rcParams["text.color"]
_, ax = plt.subplots()
for y, style, label in (
    ("rms", "-", "rms"),
    ("std", "--", "std over the batch"),
):
    runs = np.array(
        [
            [row[y] for row in default if row["layer"] == layer]
            for layer in layers
        ]
    )
    ax.semilogy(
        layers, np.median(runs, axis=1), style, color=colour, label=label
    )
    ax.fill_between(layers, runs.min(1), runs.max(1), color=colour, alpha=0.3)
ax.semilogy(
    layers,
    runs[0].mean() * 6 ** (-(layers - 1) / 2),
    ":",
    color=ink,
    label="theory of the std",
)
ax.set(xlabel="layer", ylabel="size of the activations")
ax.legend()

# %% [markdown]
# <!-- figure: PyTorch's default: the rms of the signal settles, but the std over the batch, the
# part that depends on the input, vanishes. Lines: median over 5 seeds. Dotted: theory. -->

# %%
for layer in (1, 10, 20, DEPTH):
    here = [row for row in default if row["layer"] == layer]
    shares = [row["std"] / row["rms"] for row in here]
    print(f"layer {layer:2}: std/rms {np.median(shares):.1e}")

# %% [markdown]
# ## Interpretation
#
# - The factor per layer decides. If it is above one, the signal explodes. If it is below one, the
#   signal vanishes. After 50 layers the factor has the power 50, so a small error matters.
# - Theory assumes an infinite width, but it is close to the measurement at 256 units. The random
#   draws differ by little, and the differences grow with depth.
# - A constant rms is not enough. Measure the std over the batch too, or the gradient. Both show
#   that PyTorch's default loses the input in 50 plain ReLU layers.
#
# More: [why initialization matters](../guide/what-are-initializations.md),
# [He](../guide/methods/he.md), and the [theory's functions](../api/propagation.md).
