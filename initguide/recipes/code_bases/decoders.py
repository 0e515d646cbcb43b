"""The starts of code bases that train language models: one record for each."""

from collections.abc import Mapping

from initguide.recipes.code_bases.record import ZERO, CodeBase, Draw, cut, normal, uniform

_MATRICES = ("embedding", "head", "query", "output", "up", "down")
_GATED = ("embedding", "query", "output", "gate", "up", "down")
_BY_DEPTH = "0.02 / sqrt(2 * (l + 1))"
_BY_COUNT = "0.02 / sqrt(2 * L)"
_SMALL = "sqrt(2 / (5 * d))"
_WANG = "2 / (L * sqrt(d))"
_HALF_WANG = "1 / (L * sqrt(d))"
_SPECTRAL = "min(1, sqrt(n_out / n_in)) / sqrt(n_in)"


def _draws(default: Draw, **roles: Draw) -> Mapping[str, Draw]:
    """Return the distributions of a decoder: one for all its matrices, and those that differ."""
    return {**dict.fromkeys(_MATRICES, default), **roles}


def _ends(default: Draw, end: Draw, **roles: Draw) -> Mapping[str, Draw]:
    """Return one distribution for all matrices, and another for those that end a branch."""
    return _draws(default, output=end, down=end, **roles)


_TITAN = _draws(
    normal(_BY_DEPTH),
    embedding=normal("1"),
    head=cut("d**-0.5"),
    query=normal("0.02"),
    gate=normal("0.02"),
    router=normal(_BY_DEPTH),
)


def _titan(
    name: str, model: str, draws: Mapping[str, Draw], *more: str, note: str = ""
) -> CodeBase:
    file = f"torchtitan/models/{model}/__init__.py"
    return CodeBase(
        name, "pytorch/torchtitan", file, draws, (*_GATED, *more), note=note, date="2026-08"
    )


def _olmo(name: str, draws: Mapping[str, Draw]) -> CodeBase:
    file = "src/olmo_core/nn/transformer/init.py"
    return CodeBase(name, "allenai/OLMo-core", file, draws, _GATED)


def _olmo_llama(end: str) -> Mapping[str, Draw]:
    inner = cut("0.02")
    first, last = normal("1"), cut("d**-0.5")
    return _draws(cut(end), embedding=first, head=last, query=inner, gate=inner)


def _megatron(name: str, end: str, more: str = "") -> CodeBase:
    fixed, inner, scaled = normal("0.02"), normal("0.02 / sqrt(mup)"), normal(f"{end} / sqrt(mup)")
    tables = {"embedding": fixed, "position": fixed, "head": fixed}
    draws = _ends(inner, scaled, router=inner, **tables)
    file = "megatron/core/transformer/transformer_config.py"
    note = f"`mup` is the width multiplier; the logits are then divided by it.{more}"
    return CodeBase(
        name, "NVIDIA/Megatron-LM", file, draws, options={"mup": 1}, note=note, date="2026-08"
    )


DECODERS = (
    _titan("torchtitan-llama3", "llama3", _TITAN),
    _titan("torchtitan-deepseek-v3", "deepseek_v3", _TITAN, "router"),
    _titan(
        "torchtitan-qwen3-moe",
        "qwen3",
        _ends(normal("0.02"), normal(_BY_COUNT), router=normal("0.02")),
        "router",
        note="The dense models of the same file have 0.02 everywhere.",
    ),
    _titan(
        "torchtitan-gpt-oss",
        "gpt_oss",
        _draws(
            normal(_BY_DEPTH),
            embedding=normal("0.02"),
            head=cut("d**-0.5"),
            router=normal(_BY_DEPTH),
        ),
        note="The biases of the experts and the sinks of attention, which are random there, are "
        "left out.",
    ),
    _olmo("olmo-core", _draws(cut("0.02"))),
    _olmo("olmo-core-llama", _olmo_llama(_BY_COUNT)),
    _olmo("olmo-core-llama-depth", _olmo_llama(_BY_DEPTH)),
    _olmo("olmo-core-fan-in", _draws(cut("n_in**-0.5"), embedding=normal("1"))),
    _megatron("megatron", _BY_COUNT),
    _megatron("megatron-hybrid", "0.02 / sqrt(L)", " For models that mix kinds of blocks."),
    CodeBase(
        "gpt-neox",
        "EleutherAI/gpt-neox",
        "megatron/model/init_functions.py",
        _ends(normal(_SMALL), normal(_WANG), position=normal(_SMALL)),
        note="The methods small_init and wang_init; the configuration chooses them.",
    ),
    CodeBase(
        "litgpt",
        "Lightning-AI/litgpt",
        "litgpt/pretrain.py",
        _ends(normal(_SMALL), normal(_HALF_WANG)),
        note="Its source names GPT-NeoX, whose formula has 2 in place of 1.",
    ),
    CodeBase(
        "llm-foundry",
        "mosaicml/llm-foundry",
        "llmfoundry/models/utils/param_init_fns.py",
        _ends(normal(_SMALL), normal(_WANG), embedding=normal("embedding_std")),
        options={"embedding_std": _SMALL},
        note="The function neox_init_; `embedding_std` is an option of the source too.",
    ),
    CodeBase(
        "lingua",
        "facebookresearch/lingua",
        "lingua/transformer.py",
        _draws(cut("d**-0.5"), output=cut("d**-0.5 / factor"), down=cut("n_in**-0.5 / factor")),
        _GATED,
        options={"factor": 1},
    ),
    CodeBase(
        "nanotron",
        "huggingface/nanotron",
        "src/nanotron/scaling/parametrization.py",
        _ends(normal("std"), normal("std / sqrt(2 * L)"), router=normal("std")),
        options={"std": 0.025},
        note="The source has no default for `std`; its examples have 0.025.",
    ),
    CodeBase(
        "nanotron-spectral",
        "huggingface/nanotron",
        "src/nanotron/scaling/parametrization.py",
        _draws(normal(_SPECTRAL), embedding=normal("1")),
        note="There one matrix holds query, key and value, and `n_out` counts all of its rows.",
    ),
    CodeBase(
        "nanochat",
        "karpathy/nanochat",
        "nanochat/gpt.py",
        _ends(
            uniform("d**-0.5"),
            ZERO,
            embedding=normal("0.8"),
            head=normal("0.001"),
            up=uniform("0.4 * d**-0.5"),
        ),
        note="The value embeddings and their gates are left out.",
    ),
    CodeBase(
        "modded-nanogpt",
        "KellerJordan/modded-nanogpt",
        "train_gpt.py",
        _draws(
            uniform("0.5 * d**-0.5"), embedding=normal("0.005"), head=normal("0.005"), down=ZERO
        ),
        note="There the embedding starts as a copy of the head. Here the two are drawn separately "
        "with the same std, unless they are tied. The value embeddings are left out.",
    ),
    CodeBase(
        "dion",
        "microsoft/dion",
        "models/gpt_model.py",
        _draws(normal(_SPECTRAL), embedding=normal("1")),
    ),
    CodeBase(
        "maxtext",
        "AI-Hypercomputer/maxtext",
        "src/maxtext/layers/initializers.py",
        _draws(
            normal("n_in**-0.5"),
            embedding=normal("1"),
            head=Draw("truncated", "n_in**-0.5"),
            query=normal("n_in**-0.5 / sqrt(head_dim)"),
            key=normal("n_in**-0.5"),
            value=normal("n_in**-0.5"),
            up=Draw("truncated", "n_in**-0.5"),
            down=Draw("truncated", "n_in**-0.5"),
            router=Draw("truncated", "n_in**-0.5"),
        ),
        options={"head_dim": None},
        note="Pass `head_dim=1` if the model has norms of queries and keys.",
        date="2026-08",
    ),
    CodeBase(
        "levanter",
        "marin-community/levanter",
        "src/levanter/models/llama.py",
        _draws(cut("n_in**-0.5"), embedding=cut("1 / d")),
        _GATED,
    ),
    CodeBase(
        "gemma",
        "google-deepmind/gemma",
        "gemma/gm/nn/_layers.py",
        _draws(normal("0.01")),
        _GATED,
        note="The head is tied to the embedding, and the scale of a norm is an offset from one.",
    ),
    CodeBase(
        "hf",
        "huggingface/transformers",
        "src/transformers/modeling_utils.py",
        _draws(normal("std"), position=normal("std"), router=normal("std")),
        options={"std": 0.02},
        note="Llama, Qwen3, OLMo 2 and 3, DeepSeek-V3 and gpt_oss; `std` is initializer_range. "
        "GPT-2 scales the ends of its branches: that is the recipe gpt2.",
        date="2026-06, version 5.24",
    ),
    CodeBase(
        "ngpt",
        "NVIDIA/ngpt",
        "train.py",
        _ends(normal("d**-0.5"), normal("d**-0.5 / sqrt(2 * L)")),
        note="Its default width is 1024, where 1/sqrt(d) is 1/32. The learned scales and steps "
        "need rules of your own.",
    ),
)
