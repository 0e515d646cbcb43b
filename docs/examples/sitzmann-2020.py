# %% [markdown]
# # Sitzmann 2020: sines that know their factor
#
# **A network of sines, $\sin(30\, W h)$, sees half of the pixels of an image. From SIREN's weights
# it predicts the other half well. From PyTorch's default it fits the given pixels *better* than
# SIREN does, but the pixels between them are noise. The verdict is *holds in part*.**

# %% The code that draws this figure
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import sitzmann_2020, table

rows = sitzmann_2020.run(seeds=range(5), width=64, hidden=3, lr=1e-4, steps=200)
images = {"image": sitzmann_2020.picture().numpy()} | {
    row["initialization"]: row["image"] for row in rows if row["seed"] == 0 and "image" in row
}
_, panels = plt.subplot_mosaic("aabbcc;dddeee", figsize=(6.8, 6), height_ratios=(2, 3))
for place, (name, image) in zip("abc", images.items(), strict=True):
    panels[place].imshow(image, cmap="gray", vmin=-1, vmax=1, interpolation="none")
    panels[place].set_title(name)
    panels[place].axis("off")
axes = [panels[place] for place in "de"]
axes[1].sharey(axes[0])
for ax, key in zip(axes, ("held out", "train"), strict=True):
    plotting.curves(rows, y=key, log=False, ax=ax, legend=False)
    ax.set(title=f"pixels {key}" if key == "held out" else "pixels given", ylabel="")
axes[0].set_ylabel("signal to noise, dB")
plotting.shared_legend(axes)

# %% [markdown]
# <!-- figure: Above: the image, and what two networks make of it. Below: from SIREN's start the
# network predicts the held-out pixels too. From PyTorch's default it fits only the given pixels.
# Mean and range over 5 seeds. -->
#
# ## What we measured
#
# Three hidden layers of 64 sines map the coordinates of a pixel to its grey value. They train for
# 200 steps of Adam at learning rate 0.0001, on a random half of 64×64 pixels. A higher
# signal-to-noise ratio is better. These inequalities decide the verdict in
# [the table of claims](index.md), and a test asserts them.

# %%
table(sitzmann_2020.CLAIM)

# %% [markdown]
# <!-- table: Peak signal-to-noise ratios in dB after 200 steps, and the argument's std before
# training, over 5 seeds. The last two rows speak against the headline. -->
#
# ## Why the argument of the sine needs a scale
#
# Each sine multiplies its argument by 30, so the weights must be divided by 30:
# $w \sim \mathcal{U}(\pm\sqrt{6/n} / 30)$. Then the argument has a variance near 1 in each layer,
# and its std is about a sixth of a period. With PyTorch's $\mathcal{U}(\pm 1/\sqrt n)$ the argument
# covers several periods. So neighbouring pixels get unrelated values.
#
# ## What it does not show
#
# - That the default cannot predict pixels with another factor than 30. Only the product of the
#   factor and the scale of the weights counts at the start.
# - Other learning rates. Both starts train at one rate.
# - Large images or deep networks, as in the paper. We have three hidden layers and one image, which
#   we drew.
#
# More: [rules for a network of sines](../how-to/choose.md#sine).
