# %% [markdown]
# # Xiong 2020: Transformers and warm-up
#
# **Twelve blocks, Adam at its full rate from the first step: with LayerNorm before each branch, or
# behind each sum of which the branch is a small part (DeepNorm), the Transformer learns its task.
# With LayerNorm behind each sum as usual, it has hardly left chance. If the rate grows over 120 of
# 160 steps it gets further, but stays far behind the other two.**

# %%
import numpy as np

from initguide import plotting
from initguide.experiments.claims import table, xiong_2020

rows = xiong_2020.run(seeds=range(5), lr=0.003, warmup=120, depth=12, half=3, steps=160)

# %% [markdown]
# ## What the papers show
#
# Xiong et al. derive that in post-LN, $\operatorname{LN}(h + f(h))$, the last block's gradient is
# as large at any depth $N$, while in pre-LN, $h + f(\operatorname{LN}(h))$, it falls with
# $1/\sqrt N$. They conclude that post-LN needs small first steps, and pre-LN no warm-up.
# [Wang et al. (2022)](../references.md#wang2022) keep post-LN and make its branches small:
# $\operatorname{LN}(\alpha h + f(h))$ with $\alpha = (2N)^{1/4}$, the weights of values, output and
# ReLU layer drawn smaller by $(8N)^{1/4}$.
#
# Here a decoder of width 16 reads three random tokens and must say them backwards. Post-LN is there
# twice: once with Adam's full rate at once, like the others, and once with a rate that grows to it
# over 120 steps.

# %%
ax = plotting.curves(rows, chance=np.log(15))

# %% [markdown]
# <!-- figure: Training loss of 12-block Transformers, Adam at rate 0.003: post-LN stays near
# chance, a little less so with warm-up; pre-LN and DeepNorm need none. Bands: range over 5 seeds.
# -->
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(xiong_2020.CLAIM)

# %% [markdown]
# <!-- table: Mean loss of the last 20 steps, over 5 seeds. -->
#
# ## What it does not show
#
# - That post-LN never learns without warm-up: it is one rate and few steps.
# - That warm-up helps on each seed: each network with it is compared with the mean without it.
# - That warm-up suffices: in so few steps post-LN gets further with it, and does not arrive.
# - Large models, for which DeepNorm was made: 12 blocks are few.
#
# More: [LayerNorm](../guide/layer-normalization.md).
