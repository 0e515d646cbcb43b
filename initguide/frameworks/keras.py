"""Keras: Glorot's uniform distribution for most kernels, zeros for the biases."""

from initguide.frameworks.record import ONE, ZERO, Distribution, fused, records, uniform

DEFAULTS = records(
    "Keras",
    {
        ("Dense", "Dense"): [
            ("kernel", uniform("6 / (c + o)"), "init.xavier_uniform((c, o), rng=rng)"),
            ("bias", ZERO, "init.zeros((o,))"),
        ],
        ("Convolution", "Conv2D"): [
            (
                "kernel",
                uniform("6 / (k**2 * (c + o))"),
                "init.xavier_uniform((k, k, c, o), rng=rng)",
            ),
            ("bias", ZERO, "init.zeros((o,))"),
        ],
        ("Transposed convolution", "Conv2DTranspose"): [
            (
                "kernel",
                uniform("6 / (k**2 * (c + o))"),
                "init.xavier_uniform((k, k, o, c), rng=rng)",
                "stride ignored",
            ),
            ("bias", ZERO, "init.zeros((o,))"),
        ],
        ("Depthwise convolution", "DepthwiseConv2D"): [
            (
                "kernel",
                uniform("6 / (k**2 * (c + 1))"),
                "init.xavier_uniform((k, k, c, 1), rng=rng)",
                "counts all c channels; an output sums one",
            ),
            ("bias", ZERO, "init.zeros((c,))"),
        ],
        ("LSTM", "LSTM"): [
            (
                "kernel",
                uniform("6 / (c + 4 * h)"),
                "init.xavier_uniform((c, 4 * h), rng=rng)",
                "fan_out of all four gates",
            ),
            (
                "recurrent_kernel",
                Distribution("orthogonal"),
                "init.orthogonal((h, 4 * h), rng=rng)",
                fused(4),
            ),
            ("bias", Distribution("forget gate", "1"), "init.forget_bias(h, 1.0)"),
        ],
        ("GRU", "GRU"): [
            (
                "kernel",
                uniform("6 / (c + 3 * h)"),
                "init.xavier_uniform((c, 3 * h), rng=rng)",
                "fan_out of all three gates",
            ),
            (
                "recurrent_kernel",
                Distribution("orthogonal"),
                "init.orthogonal((h, 3 * h), rng=rng)",
                fused(3),
            ),
            ("bias", ZERO, "init.zeros((2, 3 * h))"),
        ],
        ("Embedding", "Embedding"): [
            ("embeddings", uniform("0.0025"), "init.uniform((v, d), -0.05, 0.05, rng=rng)"),
        ],
        ("Attention", "MultiHeadAttention"): [
            (
                "query, key, value",
                uniform("6 / (d + e)"),
                "init.xavier_uniform((d, e), rng=rng)",
            ),
            (
                "attention_output",
                uniform("6 / (d + e)"),
                "init.xavier_uniform((e, d), rng=rng)",
            ),
            ("biases of the four", ZERO, "init.zeros((3 * e + d,))"),
        ],
        ("Normalization", "LayerNormalization, BatchNormalization"): [
            ("gamma", ONE, "init.ones((d,))"),
            ("beta", ZERO, "init.zeros((d,))"),
        ],
    },
)
