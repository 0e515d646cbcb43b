"""Published methods for Transformers, as records beside those of code bases."""

from initguide.recipes.code_bases.record import CodeBase, Draw, normal, uniform

_XAVIER = "sqrt(2 / (n_in + n_out))"
_FIXED = uniform(f"0.67 * L**-0.25 * {_XAVIER}")
_DEEP = normal(f"(8 * L)**-0.25 * {_XAVIER}")
_SMALL = normal("sqrt(2 / (5 * d))")
_HIDDEN = normal("std / sqrt(mup)")
_SWITCH = Draw("truncated", "sqrt(scale / n_in)")

TRANSFORMER_METHODS = (
    CodeBase(
        "deepnorm",
        "H. Wang et al., DeepNet: Scaling Transformers to 1,000 Layers",
        "arXiv:2203.00555",
        {
            "embedding": normal("d**-0.5"),
            "head": normal("d**-0.5"),
            "query": normal(_XAVIER),
            "key": normal(_XAVIER),
            "value": _DEEP,
            "output": _DEEP,
            "up": _DEEP,
            "down": _DEEP,
        },
        note="For an encoder or a decoder alone, whose skips are multiplied by (2L)^(1/4). The "
        "method does not concern the embedding and the head; here their std is 1/sqrt(d). "
        "microsoft/torchscale has the same factors, but draws uniform values, and query, key and "
        "value smaller by 1/sqrt(2).",
        date="2022",
    ),
    CodeBase(
        "t-fixup",
        "layer6ai-labs/T-Fixup",
        "fairseq/modules/transformer_layer.py",
        {
            "embedding": normal("(9 * L)**-0.25 * d**-0.5"),
            "head": uniform(_XAVIER),
            "query": uniform(_XAVIER),
            "key": uniform(_XAVIER),
            "value": _FIXED,
            "output": _FIXED,
            "up": _FIXED,
            "down": _FIXED,
        },
        note="The code of X. S. Huang et al. (2020), Improving Transformer Optimization Through "
        "Better Initialization. The factors of the encoder, for models without norms. The code "
        "draws query and key smaller by 1/sqrt(2); the paper has Xavier for both.",
        date="2020",
    ),
    CodeBase(
        "small-init",
        "tnq177/transformers_without_tears",
        "layers.py",
        {
            "embedding": normal("d**-0.5"),
            "head": normal("d**-0.5"),
            "query": _SMALL,
            "output": _SMALL,
            "up": normal(_XAVIER),
            "down": normal(_XAVIER),
        },
        note="The code of Nguyen and Salazar (2019), Transformers without Tears. The "
        "embedding is multiplied by sqrt(d), and the head is tied to it.",
        date="2024-05",
    ),
    CodeBase(
        "mup",
        "G. Yang et al., Tuning Large Neural Networks via Zero-Shot Hyperparameter Transfer",
        "arXiv:2203.03466, table 3",
        {
            **dict.fromkeys(("embedding", "position"), normal("std")),
            **dict.fromkeys(("query", "output", "up", "down"), _HIDDEN),
            "head": normal("std / mup"),
        },
        options={"std": 0.02, "mup": None},
        note="`mup` is the width over the width at which `std` was tuned. With Adam, the learning "
        "rate of the head and of the matrices in the blocks is divided by `mup`. Attention divides "
        "by the size of a head.",
        date="2021",
    ),
    CodeBase(
        "completep",
        "EleutherAI/nanoGPT-mup",
        "model.py",
        {
            **dict.fromkeys(("embedding", "position", "head"), normal("std")),
            **dict.fromkeys(("query", "output", "up", "down"), _HIDDEN),
        },
        options={"std": 0.02, "mup": None},
        note="The branch completep, for N. Dey et al. (2025), arXiv:2505.01618. `mup` is as above. "
        "The forward must multiply each branch by (L / L0)^-1 and the logits by 1 / `mup`, where "
        "L0 is the number of blocks at which `std` was tuned.",
        date="2025-05",
    ),
    CodeBase(
        "switch",
        "W. Fedus et al., Switch Transformers: Scaling to Trillion Parameter Models",
        "arXiv:2101.03961, section 2.4",
        {
            "embedding": normal("1"),
            **dict.fromkeys(("query", "output", "up", "down", "router", "head"), _SWITCH),
        },
        ("embedding", "query", "output", "up", "down", "router"),
        options={"scale": 0.1},
        note="For a mixture of experts: a tenth of the variance of a dense Transformer. The method "
        "does not concern the embedding, which has the std 1 here, as in T5. The paper does not "
        "say whether its std is that before the cut; here it is the std after the cut.",
        date="2022",
    ),
)
