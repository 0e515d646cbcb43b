"""PyTorch: uniform with the bound 1/sqrt(fan_in) for nearly all parameters, also for biases."""

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


def _bias(root: str) -> str:
    return f"init.uniform_(layer.bias, -1 / {root}, 1 / {root})"


_KAIMING = "init.kaiming_uniform_(layer.weight, 5**0.5)"
_ALL = "[init.uniform_(p, -1 / h**0.5, 1 / h**0.5) for p in layer.parameters()]"

DEFAULTS = records(
    "PyTorch",
    {
        ("Dense", "nn.Linear"): [
            ("weight", uniform("1 / c"), _KAIMING, TOO_SMALL),
            ("bias", uniform("1 / c"), _bias("c**0.5"), HIDES),
        ],
        ("Convolution", "nn.Conv2d"): [
            ("weight", uniform("1 / (c * k**2)"), _KAIMING, TOO_SMALL),
            ("bias", uniform("1 / (c * k**2)"), _bias("(c**0.5 * k)"), HIDES),
        ],
        ("Transposed convolution", "nn.ConvTranspose2d"): [
            ("weight", uniform("1 / (o * k**2)"), _KAIMING, "fans swapped, stride ignored"),
            ("bias", uniform("1 / (o * k**2)"), _bias("(o**0.5 * k)"), HIDES),
        ],
        ("Depthwise convolution", "nn.Conv2d(groups=c)"): [
            ("weight", uniform("1 / k**2"), _KAIMING, TOO_SMALL),
            ("bias", uniform("1 / k**2"), _bias("k"), HIDES),
        ],
        ("LSTM", "nn.LSTM"): [
            ("weight_ih", uniform("1 / h"), _ALL, INPUTS_SMALL),
            ("weight_hh", uniform("1 / h"), _ALL, STATE_SMALL),
            ("bias_ih, bias_hh", uniform("1 / h"), _ALL, f"two, summed; {FORGETS}"),
        ],
        ("GRU", "nn.GRU"): [
            ("weight_ih", uniform("1 / h"), _ALL, INPUTS_SMALL),
            ("weight_hh", uniform("1 / h"), _ALL, STATE_SMALL),
            ("bias_ih, bias_hh", uniform("1 / h"), _ALL, HIDES),
        ],
        ("Embedding", "nn.Embedding"): [
            ("weight", Distribution("normal"), "init.normal_(layer.weight)"),
        ],
        ("Attention", "nn.MultiheadAttention"): [
            (
                "in_proj_weight",
                uniform("6 / (4 * d)"),
                "init.xavier_uniform_(layer.in_proj_weight)",
                "fans of the packed shape: √2 too small",
            ),
            (
                "out_proj.weight",
                uniform("1 / d"),
                "init.kaiming_uniform_(layer.out_proj.weight, 5**0.5)",
                TOO_SMALL,
            ),
            (
                "in_proj_bias, out_proj.bias",
                ZERO,
                "[init.zeros_(b) for b in (layer.in_proj_bias, layer.out_proj.bias)]",
            ),
        ],
        ("Normalization", "nn.LayerNorm, nn.BatchNorm2d"): [
            ("weight", ONE, "init.ones_(layer.weight)"),
            ("bias", ZERO, "init.zeros_(layer.bias)"),
        ],
    },
)
