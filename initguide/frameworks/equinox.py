"""Equinox: PyTorch's uniform distribution, with the right fan_in for transposed convolutions."""

from initguide.frameworks.record import (
    FORGETS,
    HIDES,
    INPUTS_SMALL,
    ONE,
    STATE_SMALL,
    TOO_SMALL,
    ZERO,
    Distribution,
    records,
    uniform,
)


def _weight(shape: str) -> str:
    return f'init.lecun_uniform({shape}, 3**-0.5, layout="out_in", rng=rng)'


def _uniform(shape: str, root: str) -> str:
    return f"init.uniform({shape}, -1 / {root}, 1 / {root}, rng=rng)"


_KERNEL = uniform("1 / (c * k**2)")
_KERNEL_BIAS = ("bias", _KERNEL, _uniform("(o, 1, 1)", "(c**0.5 * k)"), HIDES)

DEFAULTS = records(
    "Equinox",
    {
        ("Dense", "Linear"): [
            ("weight", uniform("1 / c"), _weight("(o, c)"), TOO_SMALL),
            ("bias", uniform("1 / c"), _uniform("(o,)", "c**0.5"), HIDES),
        ],
        ("Convolution", "Conv2d"): [
            ("weight", _KERNEL, _weight("(o, c, k, k)"), TOO_SMALL),
            _KERNEL_BIAS,
        ],
        ("Transposed convolution", "ConvTranspose2d"): [
            ("weight", _KERNEL, _weight("(o, c, k, k)"), f"{TOO_SMALL}; stride ignored"),
            _KERNEL_BIAS,
        ],
        ("Depthwise convolution", "Conv2d(groups=c)"): [
            ("weight", uniform("1 / k**2"), _weight("(c, 1, k, k)"), TOO_SMALL),
            ("bias", uniform("1 / k**2"), _uniform("(c, 1, 1)", "k"), HIDES),
        ],
        ("LSTM", "LSTMCell"): [
            ("weight_ih", uniform("1 / h"), _uniform("(4 * h, c)", "h**0.5"), INPUTS_SMALL),
            ("weight_hh", uniform("1 / h"), _uniform("(4 * h, h)", "h**0.5"), STATE_SMALL),
            ("bias", uniform("1 / h"), _uniform("(4 * h,)", "h**0.5"), FORGETS),
        ],
        ("GRU", "GRUCell"): [
            ("weight_ih", uniform("1 / h"), _uniform("(3 * h, c)", "h**0.5"), INPUTS_SMALL),
            ("weight_hh", uniform("1 / h"), _uniform("(3 * h, h)", "h**0.5"), STATE_SMALL),
            ("bias, bias_n", uniform("1 / h"), _uniform("(4 * h,)", "h**0.5"), HIDES),
        ],
        ("Embedding", "Embedding"): [
            ("weight", Distribution("normal"), "init.normal((v, d), rng=rng)"),
        ],
        ("Attention", "MultiheadAttention"): [
            ("query_proj, key_proj, value_proj", uniform("1 / d"), _weight("(e, d)"), TOO_SMALL),
            ("output_proj", uniform("1 / e"), _weight("(d, e)"), TOO_SMALL),
        ],
        ("Normalization", "LayerNorm, BatchNorm"): [
            ("weight", ONE, "init.ones((d,))"),
            ("bias", ZERO, "init.zeros((d,))"),
        ],
    },
)
