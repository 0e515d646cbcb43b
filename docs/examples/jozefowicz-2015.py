# %% [markdown]
# # Jozefowicz 2015: open the forget gate
#
# **An LSTM whose forget gate starts with bias 0 does not learn which sign a sequence of 50 noisy
# steps began with. From bias 2 it does, on every seed, and so it does if the biases are drawn for
# this length ("chrono"), which starts later and ends lower. The usual bias of 1 learns too, a few
# steps later than 2.**

# %%
import matplotlib.pyplot as plt
import numpy as np

from initguide import plotting
from initguide.experiments.claims import jozefowicz_2015, table

rows = jozefowicz_2015.run(seeds=range(5), length=50, steps=200, lr=0.005)

# %% [markdown]
# ## One sign, 49 steps of noise
#
# The first input is +1 or −1 in a channel of its own; then comes noise in the other channel. An
# LSTM of 32 units must name the sign after the last step. All weights are
# [recurrent_][initguide.recurrent_]'s; Adam with learning rate 0.005, batches of 32, the gradient
# clipped to norm 1.

# %%
_, ax = plt.subplots()
plotting.curves(rows, chance=np.log(2), ax=ax)

# %% [markdown]
# <!-- figure: Training loss of LSTMs by the bias that their forget gates start with. Bias 0 stays
# at chance, 2 learns at once, 1 and chrono later. Mean and range over 5 seeds. -->

# %%
learned = {
    name: jozefowicz_2015.first_below(name)(rows)
    for name in dict.fromkeys(row["initialization"] for row in rows)
}
[
    {
        "start": name,
        "seeds that learn": np.isfinite(steps).sum(),
        "first": min(steps),
        "last": max(steps),
    }
    for name, steps in learned.items()
]

# %% [markdown]
# <!-- table: How many of 5 seeds reach half of chance within 200 steps, and at which step the first
# and the last of them do (inf: not all do). -->
#
# Until the weights have learned to speak, the gate multiplies cell and gradient by $\sigma(b_f)$ in
# each step. Over 50 steps:

# %%
for bias in (0, 1, 2):
    kept = (1 / (1 + np.exp(-bias))) ** 50
    print(f"bias {bias}: {kept:.0e}")

# %% [markdown]
# Chrono ([Tallec and Ollivier, 2018](../references.md#tallec2018)) draws one bias a unit,
# $b_f = \log u$ with $u$ uniform between 1 and $T - 1$, and sets the input gate's to $-b_f$: units
# that remember for about $u$ steps, for all $u$ up to the length $T$.
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(jozefowicz_2015.CLAIM)

# %% [markdown]
# <!-- table: Loss of the last 10 steps, over 5 seeds. -->
#
# ## What it does not show
#
# - That 2 beats 1 in the end: they meet.
# - That bias 0 never learns: it is one learning rate, and 200 steps.
# - That a larger bias is always better: a gate that never forgets cannot be reset.
#
# More: [recurrent layers](../guide/layer-types.md).
