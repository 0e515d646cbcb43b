# %% [markdown]
# # Jozefowicz 2015: open the forget gate
#
# **An LSTM reads one number, +1 or −1, and then 29 steps of noise. At the end it must name the sign
# of the first number. If its forget gate starts with bias 0, its mean loss over 120 steps is that
# of guessing, at the learning rate that was chosen for it. From bias 1, from bias 2 and from
# *chrono* biases it learns at the chosen rates. The verdict is *holds*.**
#
# Each of the five seeds trains three networks. With bias 0, at least one of the 15 networks learns
# at the largest of five rates. The mean loss of all 15 is above that of guessing there too.

# %% The code that draws this figure
import numpy as np

from initguide import plotting
from initguide.experiments.claims import jozefowicz_2015, table

rows = jozefowicz_2015.run(seeds=range(5), length=30, steps=120)
ax = plotting.rates(rows, chance=np.log(2))
ax.set_ylabel("mean loss of 120 steps")

# %% [markdown]
# <!-- figure: Loss of LSTMs at five learning rates, by the bias that their forget gates start with.
# The loss is the mean of all 120 steps, so it is small if a network learns early. Each seed is the
# mean of three networks. A ring marks the rate that two other seeds chose. Lines and bands:
# geometric mean and range over 5 seeds. -->
#
# ## The verdict
#
# Each bias is compared at its own best rate, which two other seeds chose: see
# [the rules](index.md#how-the-starts-are-compared). Near the largest rate at which an LSTM learns,
# some networks learn and others do not. So each seed trains three networks, and we average their
# losses.

# %%
table(jozefowicz_2015.CLAIM)

# %% [markdown]
# <!-- table: Differences of the mean loss of all steps, over 5 seeds. Each seed is the mean of
# three networks. -->
#
# We also ran this once with 30 other seeds, once with twice as many rates, and once with twice as
# many steps. All three inequalities held each time, on every seed. With one network per seed, bias
# 1 and chrono failed on 5 of 30 seeds each, where the LSTM did not learn at the chosen rate.
#
# ## The task
#
# The first input is +1 or −1 in one channel. Then 29 steps of noise follow in the other channel. An
# LSTM of 12 units gives the sign after the last step. The weights come from
# [recurrent_][initguide.recurrent_], the steps are Adam's, the batches have 8 sequences, and the
# gradient is clipped to norm 1.
#
# ## Why the bias matters
#
# At the start the weights have little effect, so the forget gate multiplies the cell and its
# gradient by about $\operatorname{sigmoid}(b_f)$ in each step. Over 30 steps:

# %%
for bias in (0, 1, 2):
    kept = (1 / (1 + np.exp(-bias))) ** 30
    print(f"bias {bias}: {kept:.0e}")

# %% [markdown]
# *Chrono* ([Tallec and Ollivier, 2018](../references.md#tallec2018)) draws one bias per unit:
# $b_f = \log m$, with $m$ uniform between 1 and $T - 1$. Here $T$ is the length of the longest
# memory, 30 steps. The bias of the input gate is $-b_f$. This unit remembers for about $m$ steps,
# so the units cover all lengths up to $T$.
#
# ## What it does not show
#
# - Which bias ends lowest after long training. These networks train for 120 steps.
# - That a larger bias is always better. A gate that hardly forgets is hard to reset.
#
# More: [recurrent layers](../guide/layer-types.md),
# [state-space models](../advanced/state-space.md#the-same-as-a-forget-gate).
