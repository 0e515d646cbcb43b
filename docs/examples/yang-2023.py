# %% [markdown]
# # Yang 2023: Muon at every width
#
# **Muon makes all singular values of an update equal. The update still needs a scale for each
# layer. If the scale keeps the typical entry of an update the same at every width, as in Adam, the
# best learning rate falls as a network becomes wider. If the scale follows the spectral condition,
# the best rate changes much less. But on some seeds it falls a little too. So the verdict is *holds
# in part*.**

# %% The code that draws this figure
from initguide import plotting
from initguide.experiments.claims import table, yang_2023

rows = yang_2023.run(seeds=range(5), widths=(64, 128, 192), batch=128, steps=20)
axes = plotting.rates_by_size(rows, "width", "units")

# %% [markdown]
# <!-- figure: Training loss at six rates of Muon, one line per width, with a star at its lowest
# point. With equal entries the lines move to the left as the width grows. With the spectral factor
# they nearly keep their place. Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# The best rate is the lowest point of a parabola through the least loss and its two neighbours.
# Theory predicts that with equal entries it falls like $1/\sqrt n$ in the width $n$, and that with
# the spectral factor it stays. The second row asks whether it does not fall on any seed. All bounds
# are zero.

# %%
table(yang_2023.CLAIM)

# %% [markdown]
# <!-- table: From 64 to 192 units: the change of the best rate in powers of two, over 5 seeds. -->
#
# We also ran this once with twice as many rates, and once with twice as many steps. The first and
# the third row held each time. With 30 other seeds they held on every seed. There the best rate of
# the spectral updates fell by an eighth on average, and that of updates with equal entries by
# nearly a half. At the best rate of 64 units, networks of 192 units had a lower loss with the
# spectral condition on 20 of these 30 seeds, so we claim nothing about this loss.
#
# ## Why the spectral norm
#
# Muon takes the running mean of the gradient of a matrix, and replaces it by a matrix with the same
# singular vectors, whose singular values are all near one. Five steps of an iteration do this
# without a decomposition. A bias counts here as a matrix of one column.
#
# Then each layer has a factor for the learning rate. Let the layer have $n_\text{in}$ inputs and
# $n_\text{out}$ outputs.
#
# - *Spectral*: $\sqrt{n_\text{out} / n_\text{in}}$. The input of a layer has a length of about
#   $\sqrt{n_\text{in}}$. So the update changes the output by a length of up to
#   $\eta \sqrt{n_\text{out}}$, which is $\eta$ for each unit, at any width. The weights of the head
#   start with the std $1/n$, up to a constant.
# - *Equal entries*: $0.2 \sqrt{\max(n_\text{in}, n_\text{out})}$. Then the entries of an update
#   have a size of about $0.2\,\eta$ at any width. But in a hidden layer of $n$ units, the update
#   changes the output of each unit by up to $0.2\,\eta \sqrt n$.
#
# With the second factor the entries of Muon's updates have the size of Adam's, so both can share a
# learning rate.
#
# ## What it does not show
#
# - Transformers, or widths in the thousands.
# - Long training. The loss is the mean of 20 steps.
# - A comparison with Adam. [Yang 2021](yang-2021.py) has the widths for Adam and muP.
#
# More: [muP, a rate for every width](yang-2021.py), [a rate for every depth](dey-2025.py).
