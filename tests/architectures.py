"""Real architectures, small, from their configurations and without weights; batches for them."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from torch import nn
from transformers import logging

logging.set_verbosity_error()

TOKENS, WIDTH, DEPTH = 100, 64, 2


def _source():
    return torch.Generator().manual_seed(1)


def ids(length=12):
    return {"input_ids": torch.randint(2, TOKENS, (4, length), generator=_source())}


def pixels(size=32):
    return {"pixel_values": torch.randn(4, 3, size, size, generator=_source())}


def both():
    return ids() | {"decoder_input_ids": ids(8)["input_ids"]}


def _configured(model, **options):
    """Return a builder: the configuration's class is named after the model's."""

    def build():
        cls = getattr(transformers, model)
        return cls(cls.config_class(**options))

    return build


DEEP = {"hidden_size": WIDTH, "num_hidden_layers": DEPTH, "num_attention_heads": 4}
TEXT = DEEP | {
    "vocab_size": TOKENS,
    "intermediate_size": 2 * WIDTH,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
OLD = {"vocab_size": TOKENS, "n_embd": WIDTH, "n_layer": DEPTH, "n_head": 4, "n_positions": 64}
PATCHES = DEEP | {"intermediate_size": 2 * WIDTH, "image_size": 32, "patch_size": 8}
STAGES = {"hidden_sizes": [16, 32, 48, 64], "depths": [1, 1, 2, 1], "num_labels": 5}
TWO = {
    "vocab_size": TOKENS,
    "d_model": WIDTH,
    "encoder_layers": DEPTH,
    "decoder_layers": DEPTH,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 2 * WIDTH,
    "decoder_ffn_dim": 2 * WIDTH,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
HEADS = {"num_key_value_heads": 2, "head_dim": 16}
CLIP = {
    "text_config": TEXT | {"eos_token_id": 99, "bos_token_id": 1},
    "vision_config": PATCHES,
    "projection_dim": 32,
}
AUDIO = TEXT | {
    "conv_dim": (16, 16),
    "conv_kernel": (10, 3),
    "conv_stride": (5, 2),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
    "mask_time_prob": 0.0,
}
MIXER = {"vocab_size": TOKENS, "hidden_size": WIDTH, "num_hidden_layers": DEPTH, "state_size": 8}


def _whisper():
    sizes = {"num_mel_bins": 16, "max_source_positions": 16, "max_target_positions": 16}
    return _configured("WhisperForConditionalGeneration", **TWO, **sizes)()


def _t5():
    sizes = {"d_model": WIDTH, "d_kv": 16, "d_ff": 2 * WIDTH, "num_layers": DEPTH, "num_heads": 4}
    name = "T5ForConditionalGeneration"
    return _configured(name, vocab_size=TOKENS, decoder_start_token_id=0, **sizes)()


def _detr():
    backbone = transformers.ResNetConfig(embedding_size=16, out_features=["stage4"], **STAGES)
    sizes = {key: value for key, value in TWO.items() if "coder" in key or key == "d_model"}
    options = {"use_timm_backbone": False, "num_queries": 6, "num_labels": 5}
    return _configured("DetrForObjectDetection", backbone_config=backbone, **options, **sizes)()


def _transformer():
    return nn.Transformer(WIDTH, 4, DEPTH, DEPTH, 2 * WIDTH, batch_first=True)


def _vectors():
    draw = torch.randn(2, 4, 8, WIDTH, generator=_source())
    return {"src": draw[0], "tgt": draw[1]}


def _sound():
    return {"input_features": torch.randn(4, 16, 32, generator=_source())} | {
        "decoder_input_ids": ids(8)["input_ids"]
    }


def _wave():
    return {"input_values": torch.randn(4, 800, generator=_source())}


# By name: what builds the model, and what makes a batch for it.
ARCHITECTURES = {
    "GPT-2": (_configured("GPT2LMHeadModel", **OLD), ids),
    "Llama": (_configured("LlamaForCausalLM", **TEXT, num_key_value_heads=2), ids),
    "BERT": (_configured("BertForSequenceClassification", **TEXT), ids),
    "T5": (_t5, both),
    "ViT": (_configured("ViTForImageClassification", **PATCHES), pixels),
    "ConvNeXt": (_configured("ConvNextForImageClassification", **STAGES), pixels),
    "ResNet": (_configured("ResNetForImageClassification", embedding_size=16, **STAGES), pixels),
    "Whisper": (_whisper, _sound),
    "Mamba": (_configured("MambaForCausalLM", **MIXER), ids),
    "CLIP": (_configured("CLIPModel", **CLIP), lambda: ids() | pixels()),
    # Beyond the usual ones: other norms, stacked experts, heads tied to tables, windows, waves.
    "RoBERTa": (_configured("RobertaForMaskedLM", **TEXT), ids),
    "ALBERT": (_configured("AlbertForMaskedLM", embedding_size=32, **TEXT), ids),
    "DeBERTa": (_configured("DebertaV2ForSequenceClassification", **TEXT), ids),
    "GPT-NeoX": (_configured("GPTNeoXForCausalLM", **TEXT), ids),
    "Mixtral": (
        _configured("MixtralForCausalLM", **TEXT, num_key_value_heads=2, num_local_experts=4),
        ids,
    ),
    "gpt-oss": (_configured("GptOssForCausalLM", **TEXT, **HEADS, num_local_experts=4), ids),
    "Qwen3": (_configured("Qwen3ForCausalLM", **TEXT, **HEADS), ids),
    "Gemma 2": (_configured("Gemma2ForCausalLM", **TEXT, **HEADS), ids),
    "Falcon": (
        _configured("FalconForCausalLM", vocab_size=TOKENS, bos_token_id=1, eos_token_id=2, **DEEP),
        ids,
    ),
    "RWKV": (_configured("RwkvForCausalLM", **MIXER | {"bos_token_id": 1}), ids),
    "BEiT": (
        _configured("BeitForImageClassification", **PATCHES, use_relative_position_bias=True),
        pixels,
    ),
    "Swin": (
        _configured(
            "SwinForImageClassification",
            image_size=32,
            patch_size=2,
            embed_dim=16,
            depths=[1, 2],
            num_heads=[2, 4],
            window_size=4,
        ),
        pixels,
    ),
    "RegNet": (
        _configured("RegNetForImageClassification", embedding_size=16, groups_width=8, **STAGES),
        pixels,
    ),
    "wav2vec 2.0": (_configured("Wav2Vec2ForCTC", **AUDIO), _wave),
    "DETR": (_detr, pixels),
    "torch's Transformer": (_transformer, _vectors),
}

# What "auto" does not know, and keeps because its values are no random draw.
KEPT = {
    "RWKV": ["time_decay"],
    "BEiT": ["lambda_1", "lambda_2"],
}

# Layers whose output is zero at first: a decoder's queries begin with zeros, and so does a table of
# biases.
SILENT = {
    "DETR": {f"model.decoder.layers.0.self_attn.{part}" for part in ("v_proj", "o_proj")},
    "T5": {
        f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias"
        for side in ("encoder", "decoder")
    },
}
# What LSUV then cannot scale.
UNSCALABLE = {"DETR": r"layer 'model\.decoder.*v_proj' must vary over"}
# Findings on a model after "auto".
FINDINGS: dict[str, list[str]] = {}
# The largest rms of a layer where it is above 5; otherwise it is 3.4 over three seeds.
LARGEST: dict[str, float] = {}
