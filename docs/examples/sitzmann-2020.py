# %% [markdown]
# # Sitzmann 2020: sines that know their factor
#
# **A network of sines, $\sin(30\, W h)$, paints the missing half of an image from SIREN's weights.
# From PyTorch's default it learns the pixels it is given by heart, and does so *better* than SIREN,
# but paints noise between them.** So the initialization decides not whether it fits, but what it
# says about pixels that it never saw.

# %%
import matplotlib.pyplot as plt

from initguide import plotting
from initguide.experiments.claims import sitzmann_2020, table

rows = sitzmann_2020.run(seeds=range(5), width=64, hidden=3, lr=1e-4, steps=200)

# %% [markdown]
# ## Half of the pixels given, half held out
#
# Three hidden layers of 64 sines map a pixel's coordinates to its gray value: 200 steps of Adam
# with learning rate 0.0001, on a random half of 64×64 pixels. A higher signal-to-noise ratio is
# better.

# %%
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
# <!-- figure: Above: the image and what two networks make of it. Below: from SIREN's start the
# pixels that were held out come out as well, from PyTorch's default only those that were given.
# Mean and range over 5 seeds. -->
#
# ## Why: the argument of the sine has a scale
#
# The weights must divide by the factor inside: $w \sim \mathcal{U}(\pm\sqrt{6/n} / 30)$ keeps the
# argument's variance near 1 in each layer, about a sixth of a period. PyTorch's
# $\mathcal{U}(\pm 1/\sqrt n)$ makes it many periods, and neighbouring pixels get unrelated values.
#
# ## What we measured
#
# These inequalities decide the verdict in [the table of claims](index.md), and a test asserts them.

# %%
table(sitzmann_2020.CLAIM)

# %% [markdown]
# <!-- table: Peak signal-to-noise ratios in dB after 200 steps, and the argument's std before
# training, over 5 seeds. -->
#
# ## What it does not show
#
# - That the default *cannot* interpolate with another factor than 30: the factor and the weights'
#   scale are one number.
# - Large images or deep networks, which the paper has; here it is three layers, and one image that
#   we drew.
#
# More: [rules for a network of sines](../how-to/choose.md#sine).
