# %% [markdown]
# # Aitken 2017: no checkerboard at the start
#
# **With ICNR no part of an untrained sub-pixel convolution's output lies inside the blocks of its
# pixel shuffle; with He's independent kernels about three quarters do. Training brings a pattern
# back: after 100 steps ICNR's is smaller than He's, but it is no longer zero.** And copies in the
# wrong order, a slip that runs without an error, keep the checkerboard.

# %%
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import aitken_2017, table

rows = aitken_2017.run(seeds=range(5), channels=16, steps=100)

# %% [markdown]
# ## Before the first step
#
# A convolution to 64 channels and a pixel shuffle enlarge digits to 16 images of twice the size. Of
# their mean square, how much lies inside the blocks of 2×2? Theory says $1 - 1/r^2 = 3/4$ for
# independent kernels, nothing for equal ones.

# %%
starts = {
    name: [row["inside"] for row in rows if row["initialization"] == name and "inside" in row]
    for name in aitken_2017.INITIALIZERS
}
[{"kernels": name, "least": min(parts), "most": max(parts)} for name, parts in starts.items()]

# %% [markdown]
# <!-- table: The part of the output's mean square inside the blocks, range over 5 draws. -->
#
# PyTorch's shuffle makes output channel $c$ of the channels $4c$ to $4c + 3$. In the *wrong order*
# the copies stand 16 channels apart, and each block mixes four different kernels.
#
# ## Training
#
# Networks of two convolutions learn to enlarge digits from 4×4 to 8×8, by gradient descent on
# batches of 20, learning rate 0.05. The probe is a flat image: whatever differs inside the blocks
# of its enlargement is checkerboard.

# %%
_, axes = plt.subplots(2, 1, figsize=(6.8, 6), sharex=True)
trained = [row for row in rows if "step" in row]
plotting.curves(trained, y="checkerboard", log=False, ax=axes[0], legend=False)
plotting.curves(trained, y="loss", ax=axes[1], legend=False)
axes[0].set(xlabel="", ylabel="checkerboard", ylim=(0, None))
axes[1].set(ylabel="loss of the batch")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Above: the rms deviation inside blocks of enlarged flat images, in units of the
# pixels' std. ICNR starts at zero and grows, He's fades slowly. Below: the loss hardly differs.
# Mean and range over 5 seeds. -->
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
# - Better images in the end: these networks are tiny, and their losses nearly equal.
# - That the pattern vanishes with long training, from either start.
#
# More: [ICNR](../advanced/icnr.md).
