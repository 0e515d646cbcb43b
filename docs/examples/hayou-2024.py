# %% [markdown]
# # Hayou 2024: which factor of LoRA is zero
#
# **LoRA adds the product BA of two small matrices to a frozen weight, and one of them starts at
# zero. In the paper, a random A with a zero B allows larger learning rates and ends lower. In our
# small network its best rate is larger too. But its final loss is not lower: at the rates that
# other seeds chose, it is lower on some seeds and higher on others. So the verdict is *holds in
# part*.**

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import hayou_2024, table

rows = hayou_2024.run(seeds=range(5), width=256, rank=4, steps=80)
ax = plotting.rates(rows, chance=np.log(10))
ax.set_ylabel("mean loss of 80 steps")

# %% [markdown]
# <!-- figure: Training loss of LoRA on rotated digits, the mean of 80 steps, at nine learning rates
# for each start. A ring marks the rate that two other seeds chose. Lines and bands: geometric mean
# and range over 5 seeds. -->
#
# ## The verdict
#
# The two rows of the table use different best rates:
#
# - The first row compares the best rates of the *reported* seeds. For each seed we draw a parabola
#   through its least loss and the two neighbours, and take the lowest point. It is at a larger rate
#   for a random A on every seed.
# - The second row compares the losses at the end, at one rate for each start. Two *other* seeds
#   chose this rate by the mean loss of all steps: see [the
#   rules](index.md#how-the-starts-are-compared).

# %%
table(hayou_2024.CLAIM)

# %% [markdown]
# <!-- table: Over 5 seeds: the difference of the best rates in powers of two, and the difference of
# the mean loss of the last 8 steps. The best rate is that of the mean loss of all steps. *Random A*
# means a random A with a zero B, and *random B* a zero A with a random B. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. The best rate was larger for a random A each time, on every seed. The final loss was
# lower for a random A on 18 of the 30 seeds.
#
# ## The task
#
# A network with two hidden ReLU layers of 256 units trains on the digits for 80 steps. Then all
# images are rotated by 90 degrees. The weights stay fixed, and each of the three layers gets a LoRA
# of rank 4. All steps are Adam's, on batches of 16.
#
# ## Why the factors could differ
#
# LoRA computes $W x + B A x$, where $W$ is the frozen weight. A step of Adam changes each entry of
# $A$ and $B$ by about the learning rate $\eta$.
#
# - With $B = 0$, the first step changes the output of a layer by $\Delta B\,(A x)$. Each entry is a
#   sum of 4 terms, because the rank is 4.
# - With $A = 0$, it changes the output by $B\,(\Delta A\,x)$. Each entry of $\Delta A\,x$ is a sum
#   of $n$ terms of the size $\eta$, so it can grow in proportion to the width $n$.
#
# So in wide layers the second start needs a smaller rate. Hayou et al. derive this for widths that
# go to infinity.
#
# ## What it does not show
#
# - Wide layers. The language models in the paper have layers of a thousand units and more.
# - Long fine-tuning, or tasks that are close to the first one.
# - The factor $\alpha/r$ by which LoRA usually multiplies $BA$, where $r$ is the rank and $\alpha$
#   is a setting. Here it is 1.
#
# More: [adapters](../advanced/adapters.md),
# [an initialization for an architecture](../guide/best-practices.md#architecture).
