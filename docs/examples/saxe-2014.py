# %% [markdown]
# # Saxe 2014: deep linear networks
#
# **From orthogonal weights, linear networks of 8 and of 32 layers learn the same map in about the
# same number of steps. From Gaussian weights of variance $1/n$, those of 16 layers have not learned
# it at any of seven learning rates: the product of their matrices stretches a few directions and
# has lost the rest. Orthogonal weights keep all directions, through tanh layers too.**

# %%
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import saxe_2014, table

rows = saxe_2014.run(seeds=range(5), depths=(2, 4, 8, 16, 32), limit=200)

# %% [markdown]
# ## What the paper shows
#
# A linear network computes a product of matrices, which one matrix could do as well; but how it
# learns depends on how many there are, and from orthogonal weights the equations can be solved. The
# time to learn then stays bounded as the depth grows (figure 6 of the paper). The reason is the
# Jacobian of the output by the input: its singular values, all equal at the start, let the error
# through to each layer as it is, in all directions.

# %%
_, axes = plt.subplot_mosaic(
    [["steps", "steps"], ["linear", "tanh"]], figsize=(6.8, 6.8), height_ratios=(1, 1.2)
)
steps = [row | {"layer": row["depth"]} for row in rows if row["part"] == "steps"]
plotting.signals(steps, y="steps", ax=axes["steps"], legend=False)
axes["steps"].set(xlabel="layers", ylabel="steps to learn 95 %")
axes["steps"].set_title("learning time, 200: gave up", loc="left")
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
# <!-- figure: Orthogonal linear networks of 32 layers need hardly more steps than those of 8;
# Gaussian ones do not arrive. Below: the Jacobian's singular values. Bands: range over 5 seeds. -->
#
# ## What we measured
#
# A network of width 32 learns the linear map from the digits, whitened, to their classes, by full
# gradient steps. The rate is divided by the depth, and of seven rates the best counts, for each
# draw anew.

# %%
table(saxe_2014.CLAIM)

# %% [markdown]
# <!-- table: What the verdict in [the table of claims](index.md) is made of, over 5 seeds. Powers
# of ten: from the median singular value of 64 layers' Jacobian to the largest. -->
#
# ## What it does not show
#
# - That depth is free: up to some eight layers the steps do grow, and each costs more.
# - Anything on ReLU, which zeroes half of the directions, whatever the weights.
# - That a network stays an isometry. These are the singular values at the start, and tanh layers
#   keep them for small inputs only.
#
# More: [orthogonal initialization](../guide/methods/orthogonal.md).
