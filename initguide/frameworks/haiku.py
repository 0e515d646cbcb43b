"""Haiku: normal distributions of variance 1/fan_in, truncated without a correction of the std."""

from initguide.frameworks.record import ONE, ZERO, Distribution, records


def _cut(variance: str) -> Distribution:
    return Distribution("cut normal", variance)


def _drawn(shape: str, root: str) -> str:
    return f"init.trunc_normal({shape}, rng=rng) / {root}"


_SHRUNK = "the cut leaves 0.88 of LeCun's std"

# Its MultiHeadAttention has no default: without an initializer it raises an error.
DEFAULTS = records(
    "Haiku",
    {
        ("Dense", "Linear"): [
            ("w", _cut("1 / c"), _drawn("(c, o)", "c**0.5"), _SHRUNK),
            ("b", ZERO, "init.zeros((o,))"),
        ],
        ("Convolution", "Conv2D"): [
            ("w", _cut("1 / (c * k**2)"), _drawn("(k, k, c, o)", "(c**0.5 * k)"), _SHRUNK),
            ("b", ZERO, "init.zeros((o,))"),
        ],
        ("Transposed convolution", "Conv2DTranspose"): [
            (
                "w",
                _cut("1 / (c * k**2)"),
                _drawn("(k, k, o, c)", "(c**0.5 * k)"),
                f"{_SHRUNK}; stride ignored",
            ),
            ("b", ZERO, "init.zeros((o,))"),
        ],
        ("Depthwise convolution", "DepthwiseConv2D"): [
            ("w", _cut("1 / k**2"), _drawn("(k, k, 1, c)", "k"), _SHRUNK),
            ("b", ZERO, "init.zeros((c,))"),
        ],
        ("LSTM", "LSTM"): [
            (
                "w, of input and state",
                _cut("1 / (c + h)"),
                _drawn("(c + h, 4 * h)", "(c + h) ** 0.5"),
                _SHRUNK,
            ),
            ("b, of which the code adds 1 to the forget gate", ZERO, "init.zeros((4 * h,))"),
        ],
        ("GRU", "GRU"): [
            (
                "w_i",
                Distribution("truncated normal", "1 / c"),
                "init.variance_scaling((c, 3 * h), rng=rng)",
            ),
            (
                "w_h",
                Distribution("truncated normal", "1 / h"),
                "init.variance_scaling((h, 3 * h), rng=rng)",
            ),
            ("b", ZERO, "init.zeros((3 * h,))"),
        ],
        ("Embedding", "Embed"): [
            ("embeddings", _cut("1"), "init.trunc_normal((v, d), rng=rng)"),
        ],
        ("Normalization", "LayerNorm, BatchNorm"): [
            ("scale", ONE, "init.ones((d,))"),
            ("offset", ZERO, "init.zeros((d,))"),
        ],
    },
)
