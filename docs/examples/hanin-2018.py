# %% [markdown]
# # Hanin & Rolnick 2018: residual growth
#
# **A residual block adds its branch's second moment to its input's. He's branches triple it at each
# block, branches that keep its size double it, PyTorch's default adds an eighteenth; only branches
# that are scaled down by the number of blocks keep the signal bounded at any depth.**

# %%
import numpy as np

from initguide import plotting
from initguide.experiments.claims import hanin_2018, table

rows = hanin_2018.run(seeds=range(5), depths=(25, 50), width=128, batch=64)

# %% [markdown]
# ## What theory says
#
# A block gives $h + W_2 \operatorname{relu}(W_1 h)$. The weights $W_2$ are drawn around zero, so
# the branch is uncorrelated with its input and second moments add: if the branch turns
# $\mathbb{E}[h^2]$ into $s\, \mathbb{E}[h^2]$, the block multiplies it by $1 + s$. With variances
# $\sigma_1^2$ and $\sigma_2^2$ of the weights in $n$ units,
# $s = n\sigma_1^2 \cdot \tfrac12 \cdot n\sigma_2^2$, the half being the ReLU's.
#
# $L$ blocks multiply it by $(1 + s)^L$. With $s = 1/L$ that is less than $e$ at any depth: He's
# branch ($s = 2$) needs its last weights divided by $\sqrt{2L}$, as GPT-2 does.

# %%
blocks = 50
theory = {
    start: np.sqrt((1 + share(blocks)) ** np.arange(1, blocks + 1))
    for start, share in hanin_2018.SHARES.items()
}
ax = plotting.signals(
    [row for row in rows if row["depth"] == blocks and row["layer"] > 0], theory=theory
)
ax.set(xlabel="block", ylabel="RMS of the residual stream")

# %% [markdown]
# <!-- figure: The signal after each of 50 blocks: theory, dotted, says how fast it grows. Bands:
# range over 5 seeds, width 128. -->
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(hanin_2018.CLAIM)

# %% [markdown]
# <!-- table: Growth of the second moment over 5 seeds. -->
#
# ## What it does not show
#
# - What training does with it. A last layer of zero does not grow at all, and yet does not bear
#   each learning rate: see [Fixup](zhang-2019.py).
# - Networks with normalization, where each branch sees an input of size one and adds the same
#   amount: the second moment then grows by a sum, not by a product.
# - That growth as slow as under PyTorch's default does harm.
#
# More: [residual branches](../guide/best-practices.md#residual).
