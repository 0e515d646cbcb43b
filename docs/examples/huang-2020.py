# %% [markdown]
# # Huang 2020: no LayerNorm, no warm-up
#
# **Without LayerNorm and without warm-up, a Transformer of 6 blocks learns from T-Fixup's weights.
# At the best of five learning rates it ends at a much lower loss than from Xavier's weights, also
# if those get warm-up. So the verdict is *holds*.**

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import huang_2020, table

rows = huang_2020.run(seeds=range(5), warmup=50, depth=6, half=2, steps=150)
ax = plotting.rates(rows, chance=np.log(15))

# %% [markdown]
# <!-- figure: Training loss of Transformers of 6 blocks without LayerNorm after 150 steps, at five
# learning rates for each start. From Xavier's weights (no LN) they end below chance at some rates,
# but far above T-Fixup, with warm-up and without it. A run whose loss is above 10 counts as 10. A
# ring marks the rate that two other seeds chose. Lines and bands: geometric mean and range over 5
# seeds. -->
#
# ## The verdict
#
# Each start is compared at its own best rate, which two other seeds chose: see
# [the rules](index.md#how-the-starts-are-compared).

# %%
table(huang_2020.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 15 steps, over 5 seeds. Chance is the loss of guessing one of 15
# tokens, log 15. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. All inequalities held on every seed.
#
# ## The task
#
# It is the task of [Xiong 2020](xiong-2020.py): a decoder of width 16 reads two random tokens, and
# its outputs are the same tokens in reverse order. The networks train by Adam on batches of 8
# sequences. *Warm-up* means that the rate grows to its full value over the first 50 steps.
#
# ## Why smaller weights help
#
# Without LayerNorm a block computes $h + f(h)$, once for attention and once for the ReLU layer.
# From Xavier's weights the output of a branch grows with its input $h$. So $h$ and its gradient
# grow from block to block, and one step of Adam changes the output by too much.
#
# T-Fixup multiplies four matrices of each block (the values, the attention's output, and both
# layers after it) and the embeddings by $0.67\,L^{-1/4}$ for $L$ blocks. Two of these matrices
# follow each other in a branch, so its output becomes smaller by the factor $0.67^2\,L^{-1/2}$.
# Huang et al. derive that the changes of all blocks in one step then add up to a bounded change of
# the output.
#
# ## What it does not show
#
# - The paper's encoder and decoder. There the decoder and the embeddings have the factor
#   $(9L)^{-1/4}$. Our network is one stack without a second input, and we use the encoder's factor.
# - Large models, long training, or a comparison with LayerNorm. [Xiong 2020](xiong-2020.py) has
#   networks with LayerNorm on the same task.
#
# More: [LayerNorm](../guide/layer-normalization.md).
