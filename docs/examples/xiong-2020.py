# %% [markdown]
# # Xiong 2020: Transformers and warm-up
#
# **A Transformer of 6 blocks with LayerNorm before each branch (*pre-LN*) ends at a lower loss than
# one with LayerNorm after each sum (*post-LN*). Each has its best of five learning rates. Pre-LN
# does this without warm-up. But post-LN learns without warm-up too, and on at least one seed
# warm-up does not lower its loss. So the verdict is *holds in part*.**

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, xiong_2020

rows = xiong_2020.run(seeds=range(5), warmup=50, depth=6, half=2, steps=150)
plotting.rates(rows, chance=np.log(15))

# %% [markdown]
# <!-- figure: Training loss of Transformers of 6 blocks after 150 steps, at five learning rates for
# each network. Only post-LN ran with warm-up too. A ring marks the rate that two other seeds chose.
# Lines and bands: geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# Each network is compared at its own best rate, which two other seeds chose: see
# [the rules](index.md#how-the-starts-are-compared).

# %%
table(xiong_2020.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 15 steps, over 5 seeds. A difference of log₂ counts how often a
# loss is halved: −3 is an eighth. Chance is the loss of guessing, log 15. A network counts as
# having learned if its loss is below 95 % of it. The row marked *against* speaks against [the
# claim](index.md), and the row marked *no* does not show it: both are about the claim that post-LN
# needs warm-up. -->
#
# We also ran this once with twice as many rates, and once with twice as many steps. All
# inequalities came out the same each time. And we ran it with 90 other seeds. On all of them
# DeepNorm ended lower than post-LN, and post-LN learned without warm-up. On one of them pre-LN did
# not end lower than post-LN.
#
# ## The task
#
# A decoder of width 16 reads two random tokens, and its outputs are the same tokens in reverse
# order. The networks train by Adam on batches of 8 sequences. *Warm-up* means that the rate grows
# to its full value over the first 50 steps. We tried it for post-LN. The other networks have the
# full rate from the first step.
#
# ## Why the place of LayerNorm matters
#
# *Post-LN* computes $\operatorname{LN}(h + f(h))$, where $f$ is the branch. Xiong et al. derive
# that then the gradient of the last block has the same size for any number $L$ of blocks. *Pre-LN*
# computes $h + f(\operatorname{LN}(h))$, and there this gradient falls like $1/\sqrt L$. They
# conclude that post-LN needs small first steps, and that pre-LN needs no warm-up.
#
# *DeepNorm* ([Wang et al. (2022)](../references.md#wang2022)) keeps post-LN but makes the branches
# small. It computes $\operatorname{LN}(\alpha h + f(h))$ with $\alpha = (2L)^{1/4}$. It also
# divides the weights of the values, of the attention's output and of the ReLU layers by
# $(8L)^{1/4}$.
#
# ## What it does not show
#
# - Large models. In the paper, warm-up decides whether the networks learn to translate. Its
#   networks have as many blocks as ours, but they are much wider and train for much longer.
# - Which network ends with the lowest loss after long training.
#
# More: [LayerNorm](../guide/layer-normalization.md).
