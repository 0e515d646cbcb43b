# %% [markdown]
# # Xiao 2018: 100 plain convolutions
#
# **From delta-orthogonal kernels, a tanh network of 100 convolutions learns to read digits. After
# 100 steps its held-out accuracy is above 0.3 on every seed. From Gaussian kernels, and from
# orthogonal kernels without the delta, it is still at chance. Fully connected networks of 200
# layers begin to learn from orthogonal matrices in 80 steps. From Gaussian matrices they do not.
# All starts share one learning rate. The verdict is *holds*, for these depths.**
#
# The networks have no skip connections and no normalization. The paper trains up to 10,000 layers.

# %% The code that draws this figure
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, xiao_2018

rows = xiao_2018.run(seeds=range(5), depth=100, channels=8, steps=100)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6.4), sharey=True)
titles = {
    "convolutions": "100 convolutions (orthogonal: the flattened kernel)",
    "fully connected": "200 fully connected layers (orthogonal: the matrix)",
}
for ax, (network, title) in zip(axes, titles.items(), strict=True):
    some = [row for row in rows if row["network"] == network]
    plotting.curves(some, log=False, chance=np.log(10), ax=ax, legend=False)
    ax.set_title(title, loc="left")
axes[0].set_xlabel("")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Training loss of plain tanh networks, each point the mean of the 20 steps before it.
# In the upper panel the line of the Gaussian kernels is hidden under that of the orthogonal
# kernels: both stay at chance. Lines and bands: mean and range over 5 seeds. -->
#
# ## The two networks
#
# The upper panel shows networks of 100 convolutions of 3×3 with 8 channels. The first convolution
# has stride 2, so it turns the 8×8 pixels of a digit into maps of 4×4. These networks train for 100
# steps on batches of 16 images. The lower panel shows networks of 200 fully connected layers of 32
# units. They train for 80 steps on batches of 20 images. Both train by plain gradient descent at
# learning rate 0.015. All gains are 1, and the Gaussian weights have variance 1/fan_in.
#
# ## Why delta-orthogonal kernels work
#
# A delta-orthogonal kernel is an orthogonal matrix at its centre and zero around it. So each layer
# keeps all lengths, except for the part that the tanh removes. The *flattened* orthogonal kernel is
# drawn differently: its entries are written into a matrix of 8 rows and 72 columns, and the rows of
# that matrix are orthonormal. This kernel, like a Gaussian one, keeps lengths only on average. In
# 100 layers most directions fade and a few grow. The zero padding at the border removes some of the
# signal too. [The guide](../advanced/delta-orthogonal.md) derives it and draws the singular values.
#
# ## What we measured
#
# All starts of a network share one learning rate.

# %%
table(xiao_2018.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md), over 5 seeds: loss of the last
# 20 steps, and held-out accuracy. Chance is an accuracy of about 0.1. -->
#
# We also ran this once with 30 other seeds, and all inequalities held on every seed. At the
# learning rate 0.01 we ran it once for 200 and 180 steps, and there they held on every seed too.
#
# ## What it does not show
#
# - The depths of the paper. This network has 100 layers of 8 channels.
# - That depth is useful. We did not train a shallower network.
# - That Gaussian kernels cannot learn. We saw one learning rate and 100 steps.
#
# More: [Delta-orthogonal](../advanced/delta-orthogonal.md),
# [Orthogonal](../guide/methods/orthogonal.md).
