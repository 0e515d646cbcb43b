# %% [markdown]
# # Aitken 2017: no checkerboard at the start
#
# **A sub-pixel convolution from ICNR starts without a checkerboard pattern. From He's independent
# kernels, about three quarters of the output's mean square are inside the blocks of the pattern.
# Training brings some of the pattern back: after 100 steps it is smaller from ICNR than from He,
# but it is not zero. The verdict is *holds in part*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import aitken_2017, table

rows = aitken_2017.run(seeds=range(5), channels=16, steps=100)
_, axes = plt.subplots(2, 1, figsize=(6.8, 6), sharex=True)
trained = [row for row in rows if "step" in row]
plotting.curves(trained, y="checkerboard", log=False, ax=axes[0], legend=False)
plotting.curves(trained, y="loss", ax=axes[1], legend=False)
axes[0].set(xlabel="", ylabel="checkerboard", ylim=(0, None))
axes[1].set(ylabel="loss of the batch")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Above: the rms deviation inside the blocks of enlarged flat images, in units of the
# pixels' std. From ICNR it starts at zero and grows, from He it falls slowly. Below: the losses
# hardly differ. Mean and range over 5 seeds. -->
#
# Small networks of two convolutions learn to enlarge digits from 4×4 to 8×8 pixels, by gradient
# descent on batches of 20 at learning rate 0.05. To measure the pattern, we enlarge flat images. In
# a correct enlargement of a flat image all pixels of a block are equal, so every difference inside
# a block is checkerboard.
#
# ## Before the first step
#
# An untrained convolution to 64 channels and a pixel shuffle enlarge digits to 16 images of twice
# the size. We measure the variance inside the blocks of 2×2 pixels, as a share of the mean square.
# Theory predicts $1 - 1/r^2 = 3/4$ for independent kernels, and zero for equal kernels.

# %%
starts = {
    name: [row["inside"] for row in rows if row["initialization"] == name and "inside" in row]
    for name in aitken_2017.INITIALIZERS
}
[{"kernels": name, "least": min(parts), "most": max(parts)} for name, parts in starts.items()]

# %% [markdown]
# <!-- table: The part of the output's mean square inside the blocks, range over 5 draws. -->
#
# PyTorch's shuffle makes output channel $c$ from the channels $4c$ to $4c + 3$. In the *wrong
# order* the copies of a kernel are 16 channels apart, so each block mixes four different kernels.
# This mistake raises no error, and it keeps the checkerboard.
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(aitken_2017.CLAIM)

# %% [markdown]
# <!-- table: Over 5 seeds. -->
#
# ## What it does not show
#
# - Better images after training. These networks are small, and their losses are nearly equal.
# - That the pattern vanishes with long training, from either start.
# - Other learning rates than 0.05.
#
# More: [ICNR](../advanced/icnr.md).
