# %% [markdown]
# # Aitken 2017: no checkerboard at the start
#
# **A sub-pixel convolution makes an image of twice the size, in blocks of 2×2 pixels. ICNR gives
# the pixels of a block the same kernel, so they are equal and there is no checkerboard at the
# start. From He's independent kernels, about three quarters of the mean square of an untrained
# layer's output is variance within the blocks. Training brings some of the checkerboard back: after
# 100 steps it is smaller from ICNR than from He, but it is not zero. The verdict is *holds*,
# because the claim is about the start.**

# %% The code that draws this figure
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import aitken_2017, table

rows = aitken_2017.run(seeds=range(5), channels=16, steps=100)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6), sharex=True)
trained = [row for row in rows if "step" in row]
plotting.curves(trained, y="checkerboard", log=False, ax=axes[0], legend=False)
plotting.curves(trained, y="loss", ax=axes[1], legend=False)
axes[0].set(xlabel="", ylabel="checkerboard, in stds", ylim=(0, None))
axes[1].set(ylabel="loss of the batch")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Above: the rms deviation of the pixels from the mean of their block, in enlarged flat
# images. The unit is the std of the digits' pixels. Below: the training loss. Lines and bands: mean
# and range over 5 seeds, each the mean of three networks. -->
#
# Small networks of two convolutions learn to enlarge digits from 4×4 to 8×8 pixels, by gradient
# descent on batches of 20 at learning rate 0.05. To measure the checkerboard, we enlarge *flat*
# images, in which all pixels are equal. Their correct enlargement is flat too, so every difference
# within a block belongs to the checkerboard.
#
# ## Before the first step
#
# We also measured untrained layers. A convolution turns a digit into 64 channels. Then a pixel
# shuffle writes each group of $r^2 = 4$ channels into one image, whose sides are $r = 2$ times as
# long. So there are 16 such images. We measure the variance within their blocks of 2×2 pixels, as a
# share of the mean square. Theory predicts $1 - 1/r^2 = 3/4$ for independent kernels, and zero for
# equal kernels.

# %% The code of the table
starts = {name: [] for name in aitken_2017.INITIALIZERS}
for row in rows:
    if "inside" in row:
        starts[row["initialization"]].append(row["inside"])
[
    {"kernels": name, "least": min(x), "most": max(x)}
    for name, x in starts.items()
]

# %% [markdown]
# <!-- table: The share of the output's mean square that is variance within the blocks, range over 5
# draws. -->
#
# PyTorch's shuffle makes output channel $c$ from the channels $4c$ to $4c + 3$. In the *wrong
# order* the copies of a kernel are 16 channels apart, so each block mixes four different kernels.
# This mistake raises no error, and it keeps the checkerboard.
#
# ## What we measured
#
# Both starts of the trained networks share one learning rate.

# %%
table(aitken_2017.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md), over 5 seeds. The last row is
# our addition to the claim. -->
#
# ## What it does not show
#
# - Better images after training. These networks are small, and their losses are nearly equal.
# - That the pattern vanishes with long training, from either start.
# - Other learning rates than 0.05.
#
# More: [ICNR](../advanced/icnr.md).
