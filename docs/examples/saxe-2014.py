# %% [markdown]
# # Saxe 2014: deep linear networks
#
# **From orthogonal weights, linear networks of 8 and of 32 layers need about the same number of
# steps to learn the same map. From Gaussian weights of variance $1/n$, networks of 16 layers do not
# learn it in 200 steps, at any of seven learning rates. The verdict is *holds*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import saxe_2014, table

rows = saxe_2014.run(seeds=range(5), depths=(2, 4, 8, 16, 32), limit=200)
_, axes = plt.subplot_mosaic(
    [["steps", "steps"], ["linear", "tanh"]], figsize=(6.8, 6.8), height_ratios=(1, 1.2)
)
steps = [row | {"layer": row["depth"]} for row in rows if row["part"] == "steps"]
plotting.signals(steps, y="steps", ax=axes["steps"], legend=False)
axes["steps"].set(xlabel="layers", ylabel="steps to learn 95 %")
axes["steps"].set_title("learning time (200: not learned)", loc="left")
for name in ("linear", "tanh"):
    values = [
        {"initialization": row["initialization"], "seed": row["seed"], "layer": i, "value": value}
        for row in rows
        if row.get("nonlinearity") == name
        for i, value in enumerate(row["values"], start=1)
    ]
    plotting.signals(values, y="value", ax=axes[name], legend=False)
    axes[name].set(xlabel="index", ylabel="singular value", ylim=(1e-12, 1e2))
    axes[name].set_title(f"64 {name} layers", loc="left")
plotting.shared_legend(list(axes.values()))

# %% [markdown]
# <!-- figure: Above: orthogonal linear networks of 32 layers need hardly more steps than those of
# 8 layers. Gaussian networks of 16 layers do not learn the map. Below: the singular values of the
# Jacobian before training. Bands: range over 5 seeds. -->
#
# ## What we measured
#
# The input is the digits, reduced to 32 whitened directions. Each network of width 32 learns the
# linear map from them to the classes, by gradient descent on all images. The learning rate is
# divided by the depth. Each draw counts at the best of seven rates. These inequalities decide the
# verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(saxe_2014.CLAIM)

# %% [markdown]
# <!-- table: Over 5 seeds. Powers of ten: from the median singular value of the Jacobian of 64
# layers to the largest. -->
#
# ## Why depth matters in a linear network
#
# A linear network computes a product of matrices, so a single matrix could compute the same map.
# But the training depends on the number of matrices. For orthogonal weights the equations can be
# solved, and the time to learn stays bounded as the depth grows (figure 6 of the paper).
#
# The reason is the *Jacobian* of the output by the input. From orthogonal weights all its singular
# values are equal at the start, so the error reaches each layer unchanged in all directions. From
# Gaussian weights the product stretches a few directions and shrinks the others to almost nothing.
#
# ## What it does not show
#
# - That depth is free. Up to about eight layers the number of steps grows, and each step costs more
#   time.
# - Anything about ReLU. A ReLU sets about half of its inputs to zero, for any weights.
# - That the singular values stay equal. These are the values at the start, and tanh layers keep
#   them for small inputs only.
# - That Gaussian weights cannot learn it. We saw 200 steps of gradient descent.
#
# More: [orthogonal initialization](../guide/methods/orthogonal.md).
