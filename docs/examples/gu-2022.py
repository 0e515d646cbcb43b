# %% [markdown]
# # Gu 2022: step sizes for long memories
#
# **A state space model reads a sequence of 400 numbers and must tell whether the first one was plus
# or minus one. (Noise enters by a second input.) With step sizes Δ between 0.001 and 0.1, the usual
# range, it learns this in 100 training steps. With Δ between 0.1 and 10 it hardly does, at the best
# of six learning rates. But with Δ between 0.00001 and 0.001, which the claim calls too small, it
# learns even a little faster. So the verdict is *holds in part*.**
#
# A *state space model* is a recurrent network whose state decays in each step. The step size Δ sets
# how fast. S4 and Mamba are sequence models of this kind, and both draw Δ between 0.001 and 0.1. A
# memory of 400 steps asks for Δ near 1/400 = 0.0025, which is in this range.

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import gu_2022, table

rows = gu_2022.run(seeds=range(5), length=400, channels=16, steps=100)
ax = plotting.rates(rows, chance=np.log(2))
ax.set_ylabel("mean loss of 100 steps")

# %% [markdown]
# <!-- figure: Loss of state space models at six learning rates, by the range from which their step
# sizes are drawn. The loss is the mean of all 100 steps, so it is small if a model learns early. A
# ring marks the rate that two other seeds chose. A run whose loss is above 10 counts as 10. Lines
# and bands: geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# Each range is compared at its own best rate, which two other seeds chose: see
# [the rules](index.md#how-the-starts-are-compared). The second row does not hold: at the chosen
# rates, the smaller Δ have the lower loss on every seed. Channels with such Δ remember much longer
# than the sequence lasts.

# %%
table(gu_2022.CLAIM)

# %% [markdown]
# <!-- table: Differences of the mean loss of all steps, over 5 seeds. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. The first inequality held each time, on every seed. On the 30 seeds, the smaller Δ had
# the lower loss on 22. With twice as many rates, the smaller Δ and the usual range gave about the
# same loss.
#
# ## Why the step size matters
#
# Let $u_t$ be the input of a channel at step $t$. Each of 16 channels has two states,
# $h_t = e^{-\Delta k}\, h_{t-1} + \Delta\, u_t$ with $k = 1$ and $k = 2$. So a channel remembers an
# input for about $1/\Delta$ steps. After 400 steps this share is left of the first input, for
# $k = 1$:

# %%
for step in (0.001, 0.01, 0.1):
    print(f"step {step:g}: {np.exp(-400 * step):.0e}")

# %% [markdown]
# The gradient of Δ has the same factor. So a channel with a large Δ has almost no gradient that
# could make its memory longer. In this task nothing needs a short memory, because the noise has an
# input of its own. This may be why smaller Δ do no harm here; we did not test it.
#
# ## What it does not show
#
# - Mamba itself, where Δ depends on the input. Here Δ is one trained number per channel.
# - Tasks with long and short memories. For these the paper draws Δ from a wide range.
# - Complex decays, as in S4. Here all decays are real.
#
# More: [state-space models](../advanced/state-space.md),
# [an initialization for an architecture](../guide/best-practices.md#architecture).
