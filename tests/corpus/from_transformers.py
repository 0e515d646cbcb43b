"""Architectures of transformers, built from configurations, and a batch for each.

Widths are 256 and more, because what is wrong with a scale does not show in a narrow model.
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import functools

import torch
import transformers
from torch.nn import functional as F
from transformers import logging

logging.set_verbosity_error()

WORDS = 1000


def _source():
    return torch.Generator().manual_seed(1)


def ids(length=16, words=WORDS):
    return {"input_ids": torch.randint(3, words, (4, length), generator=_source())}


def tokens(**options):
    """Return a batch for a language model, whose states are not cached."""
    return ids(**options) | {"use_cache": False}


def pixels(size=64):
    return {"pixel_values": torch.randn(4, 3, size, size, generator=_source())}


def both():
    return ids() | {"decoder_input_ids": ids(8)["input_ids"], "use_cache": False}


def next_token(output, batch):
    """The cross-entropy of the next token, which is ln V if all words are equally likely."""
    words = batch.get("decoder_input_ids", batch.get("input_ids"))
    return F.cross_entropy(output.logits[:, :-1].float().flatten(0, 1), words[:, 1:].flatten())


def any_output(output, batch):
    """The mean of the first output times random numbers, so that each entry has a gradient."""
    first = next(t for t in output.values() if torch.is_tensor(t) and t.requires_grad)
    return (first.float() * torch.randn(first.shape, generator=_source())).mean()


SIZES = {
    "hidden_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 512,
}
TEXT = SIZES | {
    "vocab_size": WORDS,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
DECODER = TEXT | {"num_key_value_heads": 2, "head_dim": 64}
EXPERTS = DECODER | {
    "moe_intermediate_size": 128,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
}
STATES = {"state_size": 16, "num_heads": 8, "n_groups": 1, "chunk_size": 16}
PAIR = {
    "vocab_size": WORDS,
    "d_model": 256,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 512,
    "decoder_ffn_dim": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "max_position_embeddings": 64,
    "forced_eos_token_id": None,
}
PATCHES = SIZES | {"image_size": 64, "patch_size": 16, "num_labels": 10}
STAGES = {"hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 2, 1], "num_labels": 10}

# Decoders that a few shared options describe.
DECODERS = [
    "Llama",
    "Mistral",
    "Qwen2",
    "Qwen3",
    "Gemma",
    "Gemma2",
    "Phi",
    "Phi3",
    "Olmo",
    "Olmo2",
    "Granite",
    "Glm4",
    "Cohere",
    "Starcoder2",
    "StableLm",
    "Nemotron",
    "SmolLM3",
    "GPTNeoX",
    "GPTJ",
    "OPT",
    "Bloom",
    "Mpt",
    "CodeGen",
    "XGLM",
    "BioGpt",
    "Apertus",
]
MIXTURES = ["Mixtral", "Qwen3Moe", "GptOss"]
RECURRENT = ["Mamba", "Rwkv", "Lfm2"]

# By name: the class, what it changes in the configuration, and what makes a batch.
OTHERS = {
    "GPT2": ("GPT2LMHeadModel", DECODER, tokens),
    "Falcon": ("FalconForCausalLM", TEXT, tokens),
    "Mamba2": ("Mamba2ForCausalLM", TEXT | STATES | {"head_dim": 64}, tokens),
    "GPTNeo": (
        "GPTNeoForCausalLM",
        TEXT | {"num_layers": 2, "attention_types": [[["global", "local"], 1]]},
        tokens,
    ),
    "RecurrentGemma": ("RecurrentGemmaForCausalLM", DECODER | {"num_hidden_layers": 3}, tokens),
    "BERT": ("BertForMaskedLM", TEXT, ids),
    "ALBERT": ("AlbertForMaskedLM", TEXT | {"embedding_size": 128}, ids),
    "DeBERTa": ("DebertaV2ForMaskedLM", TEXT, ids),
    "DistilBERT": ("DistilBertForMaskedLM", TEXT | {"dim": 256, "n_layers": 2, "n_heads": 4}, ids),
    "MPNet": ("MPNetForMaskedLM", TEXT, ids),
    "ModernBERT": ("ModernBertForMaskedLM", TEXT | {"cls_token_id": 1, "sep_token_id": 2}, ids),
    "FNet": ("FNetForMaskedLM", TEXT, ids),
    "ESM": ("EsmForMaskedLM", TEXT | {"mask_token_id": 3}, ids),
    "T5": (
        "T5ForConditionalGeneration",
        {"vocab_size": WORDS, "d_model": 256, "d_kv": 64, "d_ff": 512, "num_layers": 2}
        | {"num_heads": 4, "decoder_start_token_id": 0},
        both,
    ),
    "BART": ("BartForConditionalGeneration", PAIR, both),
    "ViT": ("ViTForImageClassification", PATCHES, pixels),
    "BEiT": (
        "BeitForImageClassification",
        PATCHES | {"use_relative_position_bias": True},
        pixels,
    ),
    "DINOv2": ("Dinov2ForImageClassification", PATCHES, pixels),
    "ConvNeXt": ("ConvNextForImageClassification", STAGES, pixels),
    "ResNet": ("ResNetForImageClassification", STAGES | {"embedding_size": 32}, pixels),
    "PoolFormer": (
        "PoolFormerForImageClassification",
        {"num_labels": 10, "depths": [1, 1, 1, 1]},
        pixels,
    ),
}
MODELS = {
    **{name: (f"{name}ForCausalLM", DECODER, tokens) for name in DECODERS},
    **{name: (f"{name}ForCausalLM", EXPERTS, tokens) for name in MIXTURES},
    **{name: (f"{name}ForCausalLM", DECODER, tokens) for name in RECURRENT},
    **OTHERS,
}
# Growth over the blocks shows in a deep model.
MODELS["Mixtral, 24 layers"] = ("MixtralForCausalLM", EXPERTS | {"num_hidden_layers": 24}, tokens)


def build(name, **changes):
    """Return a model as its configuration and its authors' own initialization make it."""
    kind, options, _ = MODELS[name]
    cls = getattr(transformers, kind)
    return cls(cls.config_class(**options | changes)).train()


def case(name):
    """Return what builds a model, its batch, and its loss."""
    kind, _, batch = MODELS[name]
    text = kind.endswith(("LM", "LMHeadModel", "Generation", "MTModel"))
    return functools.partial(build, name), batch(), next_token if text else any_output
