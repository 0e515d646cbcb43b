"""What the playground takes from the package, as JSON (see playground.py)."""

import base64
import json

import numpy as np

from initguide.experiments.data import SPLIT_SEED, TRAINING_IMAGES
from initguide.plotting.style import MARKERS, colours_of

# The names by which the playground's initializations go in the guide's figures.
TITLES = [
    *("Zero", "Constant", "std 0.01", "std 1.0", "PyTorch default", "LeCun", "Xavier", "He"),
    *("Orthogonal", "Gain"),
]


def data() -> str:
    """Return the constants, and the digits: labels, then pixels, training images first."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(pixels))
    train = pixels[order[:TRAINING_IMAGES]]
    colours = colours_of(TITLES)
    constants = {
        "METHODS": {
            title: {"color": colour, "marker": MARKERS[colour]} for title, colour in colours.items()
        },
        "DIGITS": {"mean": train.mean(), "std": train.std(), "training": TRAINING_IMAGES},
    }
    packed = labels[order].astype(np.uint8).tobytes() + pixels[order].astype(np.uint8).tobytes()
    return json.dumps({"constants": constants, "digits": base64.b64encode(packed).decode()})
