# %% [markdown]
# # Xiong 2020: Transformers and warm-up
#
# **At learning rate 0.003, a Transformer of 12 blocks learns without warm-up if LayerNorm comes
# before each branch. With LayerNorm after each sum, the loss stays near that of guessing in 160
# steps. With warm-up it falls further, but it stays above the two other losses.**
#
# This is one learning rate. We did not search for the best rate of each network.

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, xiong_2020

rows = xiong_2020.run(seeds=range(5), lr=0.003, warmup=120, depth=12, half=3, steps=160)
ax = plotting.curves(rows, chance=np.log(15))

# %% [markdown]
# <!-- figure: Training loss of Transformers of 12 blocks, Adam at rate 0.003. Post-LN stays near
# chance, and warm-up helps it a little. Pre-LN and DeepNorm learn without warm-up. Bands: range
# over 5 seeds. -->
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(xiong_2020.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 20 steps, over 5 seeds. -->
#
# ## The task
#
# A decoder of width 16 reads three random tokens, and its outputs are the same tokens in reverse
# order. The networks train by Adam. *Warm-up* means that the rate grows to its full value over the
# first 120 steps. Only one of the two post-LN networks has warm-up. All others have the full rate
# from the first step.
#
# ## Why the place of LayerNorm matters
#
# *Post-LN* computes $\operatorname{LN}(h + f(h))$. Xiong et al. derive that the gradient of the
# last block has the same size at any depth $N$. *Pre-LN* computes $h + f(\operatorname{LN}(h))$,
# and there the gradient falls like $1/\sqrt N$. They conclude that post-LN needs small first steps,
# and that pre-LN needs no warm-up.
#
# *DeepNorm* ([Wang et al. (2022)](../references.md#wang2022)) keeps post-LN but makes the branches
# small. It computes $\operatorname{LN}(\alpha h + f(h))$ with $\alpha = (2N)^{1/4}$. It also
# divides the weights of the values, of the attention's output and of the ReLU layers by
# $(8N)^{1/4}$.
#
# ## What it does not show
#
# - That post-LN cannot learn without warm-up. We tried one learning rate and 160 steps.
# - That warm-up helps on each seed. We compare each network that has it with the mean of those that
#   do not.
# - Which network ends with the lowest loss, each at its own best rate.
# - Large models, for which DeepNorm was made. These networks have 12 blocks.
#
# More: [LayerNorm](../guide/layer-normalization.md).
