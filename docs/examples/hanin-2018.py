# %% [markdown]
# # Hanin & Rolnick 2018: residual growth
#
# **Each block of a residual network adds the mean square of its branch to that of its input. With
# He's branches the mean square triples per block. With PyTorch's default it grows by an eighteenth
# per block. If the branches are scaled down with the number of blocks, theory says that it stays
# bounded at any depth. At 25 and at 50 blocks our measurement agrees. The verdict is *holds*.**

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import hanin_2018, table

rows = hanin_2018.run(seeds=range(5), depths=(25, 50), width=128, batch=64)
blocks = 50
theory = {
    start: np.sqrt((1 + share(blocks)) ** np.arange(1, blocks + 1))
    for start, share in hanin_2018.SHARES.items()
}
ax = plotting.signals(
    [row for row in rows if row["depth"] == blocks and row["layer"] > 0],
    theory=theory,
)
ax.set(xlabel="block", ylabel="RMS of the residual stream")

# %% [markdown]
# <!-- figure: The RMS (root of the mean square) of the residual stream after each of 50 blocks.
# With He's branches the mean square triples per block, so the RMS grows by √3. Near 1, three lines
# lie close together: from above, PyTorch default, last / √(2N) and last zero. Dotted: theory. Lines
# and bands: geometric mean and range over 5 seeds, width 128. -->
#
# ## What we measured
#
# Nothing is trained here. The experiment compares networks at the start with the theory below,
# which predicts that each block multiplies the mean square by $1 + r$:
#
# - *He* has $r = 2$, so the factor is 3.
# - *Branch keeps its size* has $r = 1$, so the factor is 2.
# - *PyTorch default* has $r = \tfrac13 \cdot \tfrac12 \cdot \tfrac13 = \tfrac1{18}$.
# - *last / √(2N)*, with the last layers of He's branches divided by $\sqrt{2N}$, has $r = 1/N$.
# - *last zero*, with last layers of zero, has $r = 0$.

# %%
table(hanin_2018.CLAIM)

# %% [markdown]
# <!-- table: The inequalities that decide [the verdict](index.md), over 5 seeds: the growth of the
# mean square per block, and in all blocks. -->
#
# We also ran this once with 30 other seeds, and all inequalities held on every seed.
#
# ## What theory says
#
# A block computes $h + W_2 \operatorname{relu}(W_1 h)$. The weights $W_2$ have mean zero, so the
# branch is uncorrelated with its input, and the mean squares add. Suppose that the branch turns
# $\mathbb{E}[h^2]$ into $r\, \mathbb{E}[h^2]$. Then the block multiplies the mean square by
# $1 + r$. If the weights have the variances $\sigma_1^2$ and $\sigma_2^2$ and the width is $n$,
# then $r = n\sigma_1^2 \cdot \tfrac12 \cdot n\sigma_2^2$. The $\tfrac12$ comes from the ReLU.
#
# $N$ blocks multiply the mean square by $(1 + r)^N$. With $r = 1/N$ this mean over draws is less
# than $e$ at any depth. He's branch has $r = 2$, so its last weights must be divided by
# $\sqrt{2N}$. GPT-2 scales its branches in a similar way: see [Radford 2019](radford-2019.py).
#
# ## What it does not show
#
# - The effect on training. A branch whose last layer is zero does not grow at all, but it can still
#   diverge in training: see [Fixup](zhang-2019.py).
# - Networks with normalization. There each branch has an input of size one and adds the same
#   amount, so the mean square grows by a sum, not by a product.
# - That the slow growth with PyTorch's default is harmful.
#
# More: [residual branches](../guide/best-practices.md#residual).
