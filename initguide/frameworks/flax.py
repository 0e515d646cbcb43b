"""Flax: LeCun's truncated normal for kernels, zeros for biases, in linen and nnx alike.

They differ in the recurrent kernels: linen draws one kernel per gate, and some cells of nnx draw
one kernel for all gates.
"""

from initguide.frameworks.record import ONE, ZERO, Default, Distribution, Table, fused, records


def _normal(variance: str) -> Distribution:
    return Distribution("truncated normal", variance)


def _scaling(shape: str) -> str:
    return f"init.variance_scaling({shape}, rng=rng)"


def _common(prefix: str, dense: str) -> Table:
    return {
        ("Dense", dense): [
            ("kernel", _normal("1 / c"), _scaling("(c, o)")),
            ("bias", ZERO, "init.zeros((o,))"),
        ],
        ("Convolution", f"{prefix}.Conv"): [
            ("kernel", _normal("1 / (c * k**2)"), _scaling("(k, k, c, o)")),
            ("bias", ZERO, "init.zeros((o,))"),
        ],
        ("Transposed convolution", f"{prefix}.ConvTranspose"): [
            ("kernel", _normal("1 / (c * k**2)"), _scaling("(k, k, c, o)"), "stride ignored"),
            ("bias", ZERO, "init.zeros((o,))"),
        ],
        ("Depthwise convolution", f"{prefix}.Conv(feature_group_count=c)"): [
            ("kernel", _normal("1 / k**2"), _scaling("(k, k, 1, c)")),
            ("bias", ZERO, "init.zeros((c,))"),
        ],
        ("Embedding", f"{prefix}.Embed"): [
            (
                "embedding",
                Distribution("normal", "1 / d"),
                "init.normal((v, d), 0.0, d**-0.5, rng=rng)",
            ),
        ],
        ("Attention", f"{prefix}.MultiHeadAttention"): [
            ("query, key, value", _normal("1 / d"), _scaling("(d, e)")),
            ("out", _normal("1 / e"), _scaling("(e, d)")),
            ("biases of the four", ZERO, "init.zeros((3 * e + d,))"),
        ],
        ("Normalization", f"{prefix}.LayerNorm, {prefix}.BatchNorm"): [
            ("scale", ONE, "init.ones((d,))"),
            ("bias", ZERO, "init.zeros((d,))"),
        ],
    }


def _recurrent(framework: str, layer: str, name: str, whole: bool) -> tuple[Default, ...]:
    """Return the records of a cell; `whole` means one recurrent kernel, of shape (h, gates * h)."""
    gates = {"LSTM": 4, "GRU": 3}[layer]
    shape = f"(h, {gates} * h)"
    by_gate = (
        Distribution("orthogonal gates"),
        f"init.per_gate({shape}, init.orthogonal, {gates}, rng=rng)",
    )
    as_one = (
        Distribution("orthogonal"),
        f"init.orthogonal({shape}, rng=rng)",
        fused(gates),
    )
    forget = "forget gate 0" if layer == "LSTM" else ""
    # The GRU of linen has one more bias, in the recurrent part of the candidate state.
    biases = 3 if layer == "GRU" and whole else 4
    rows = [
        ("input kernels", _normal("1 / c"), _scaling(f"(c, {gates} * h)")),
        ("recurrent kernels", *(as_one if whole else by_gate)),
        ("biases", ZERO, f"init.zeros(({biases} * h,))", forget),
    ]
    return records(framework, {(layer, name): rows})


LINEN = (
    *records("Flax linen", _common("nn", "nn.Dense")),
    *_recurrent("Flax linen", "LSTM", "nn.LSTMCell, nn.OptimizedLSTMCell", whole=False),
    *_recurrent("Flax linen", "GRU", "nn.GRUCell", whole=False),
)
NNX = (
    *records("Flax nnx", _common("nnx", "nnx.Linear")),
    *_recurrent("Flax nnx", "LSTM", "nnx.LSTMCell", whole=False),
    *_recurrent("Flax nnx", "LSTM", "nnx.OptimizedLSTMCell", whole=True),
    *_recurrent("Flax nnx", "GRU", "nnx.GRUCell", whole=True),
)
