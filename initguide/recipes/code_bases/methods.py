"""Published methods for Transformers, as records beside those of code bases."""

from types import MappingProxyType

from initguide.recipes.code_bases.record import CodeBase, normal

_XAVIER = "sqrt(2 / (n_in + n_out))"
_FIXED = f"0.67 * L**-0.25 * {_XAVIER}"
_DEEP = f"(8 * L)**-0.25 * {_XAVIER}"
_HIDDEN = normal("std / sqrt(mup)")

METHODS = (
    CodeBase(
        "deepnorm",
        "H. Wang et al. (2022), DeepNet: Scaling Transformers to 1,000 Layers",
        "arXiv:2203.00555",
        MappingProxyType(
            {
                "embedding": normal("d**-0.5"),
                "head": normal("d**-0.5"),
                "query": normal(_XAVIER),
                "key": normal(_XAVIER),
                "value": normal(_DEEP),
                "output": normal(_DEEP),
                "up": normal(_DEEP),
                "down": normal(_DEEP),
            }
        ),
        ("query", "output", "up", "down"),
        note="For an encoder or a decoder alone, whose skips are multiplied by (2L)^(1/4). The "
        "paper gives no std for the embedding and the head; here it is 1/sqrt(d).",
        date="2022",
    ),
    CodeBase(
        "t-fixup",
        "X. S. Huang and others (2020), Improving Transformer Optimization Through Better "
        "Initialization",
        "PMLR 119:4475",
        MappingProxyType(
            {
                "embedding": normal("(9 * L)**-0.25 * d**-0.5"),
                "head": normal(_XAVIER),
                "query": normal(_XAVIER),
                "key": normal(_XAVIER),
                "value": normal(_FIXED),
                "output": normal(_FIXED),
                "up": normal(_FIXED),
                "down": normal(_FIXED),
            }
        ),
        ("query", "output", "up", "down"),
        note="The factors of the encoder, for models without norms.",
        date="2020",
    ),
    CodeBase(
        "small-init",
        "T. Q. Nguyen, J. Salazar (2019), Transformers without Tears",
        "arXiv:1910.05895",
        MappingProxyType(
            dict.fromkeys(
                ("embedding", "head", "query", "output", "up", "down"), normal("sqrt(2 / (5 * d))")
            )
        ),
        date="2019",
    ),
    CodeBase(
        "mup",
        "G. Yang et al. (2021), Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer",
        "arXiv:2203.03466, table 3",
        MappingProxyType(
            {
                "embedding": normal("std"),
                "position": normal("std"),
                **dict.fromkeys(("query", "output", "up", "down"), _HIDDEN),
                "head": normal("std / mup"),
            }
        ),
        options={"std": 0.02, "mup": None},
        note="`mup` is the width over the width at which `std` was tuned. With Adam, the learning "
        "rate of matrices is divided by `mup`, and attention divides by the size of a head.",
        date="2022",
    ),
    CodeBase(
        "completep",
        "N. Dey and others (2025), Don't Be Lazy: CompleteP Enables Compute-Efficient Deep "
        "Transformers",
        "arXiv:2505.01618",
        MappingProxyType(
            {
                **dict.fromkeys(("embedding", "position", "head"), normal("std")),
                **dict.fromkeys(("query", "output", "up", "down"), _HIDDEN),
            }
        ),
        options={"std": 0.02, "mup": None},
        note="The forward must multiply each branch by (L / L0)^-1 and the logits by 1 / `mup`.",
        date="2025",
    ),
)
