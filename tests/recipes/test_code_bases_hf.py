"""The installed transformers: do its models still start as the records say?"""

import textwrap
from pathlib import Path

import pytest
import torch
from blocks import python_blocks

import initguide as init
from initguide.graph.trace import trace
from initguide.graph.weight_roles import block_count, weight_roles

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 256, "intermediate_size": 384, "num_hidden_layers": 3, "vocab_size": 500}
SIZES |= {"num_attention_heads": 4, "pad_token_id": None, "bos_token_id": 1, "eos_token_id": 2}
GROUPED = SIZES | {"num_key_value_heads": 2}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
LATENT = {"n_routed_experts": 4, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1}
LATENT |= {"q_lora_rank": 64, "kv_lora_rank": 64, "qk_rope_head_dim": 16, "v_head_dim": 32}
LATENT |= {"qk_nope_head_dim": 32, "moe_intermediate_size": 64, "num_experts_per_tok": 2}
LIKE_HF = {
    "LlamaConfig": GROUPED,
    "Qwen3Config": GROUPED | {"head_dim": 64},
    "Olmo2Config": GROUPED,
    "Olmo3Config": GROUPED,
    "GPTNeoXConfig": SIZES,
    "MixtralConfig": GROUPED | {"num_local_experts": 4},
    "Qwen3MoeConfig": GROUPED | EXPERTS | {"head_dim": 64},
    "DeepseekV3Config": SIZES | LATENT,
}


def built(config, options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = getattr(transformers, config)(**options)
        return transformers.AutoModelForCausalLM.from_config(made)


@pytest.mark.parametrize("config", LIKE_HF)
def test_models_of_transformers_start_as_the_record_says(config):
    model = built(config, LIKE_HF[config])
    roles = weight_roles(model, trace(model))
    assert "unknown" not in {role.kind for role in roles.values()}
    assert block_count(roles) == 3
    assert init.audit(model, "hf").findings == []
    assert not init.audit(model, "hf", std=0.021).ok


def test_gpt2_scales_the_ends_of_its_branches():
    model = built("GPT2Config", {"n_embd": 256, "n_layer": 3, "n_head": 4, "vocab_size": 500})
    assert not init.audit(model, "hf").ok
    assert init.audit(model, "gpt2").findings == []


@pytest.mark.parametrize("config", ["LlamaConfig", "Qwen3Config"])
def test_a_recipe_of_another_code_base_fits_these_models(config):
    model = built(config, LIKE_HF[config])
    init.initialize_(model, "torchtitan-llama3", seed=0)
    assert init.audit(model, "torchtitan-llama3").findings == []
    assert not init.audit(model, "hf").ok


def test_a_gate_packed_with_what_has_another_std_is_an_error():
    model = built("DeepseekV3Config", LIKE_HF["DeepseekV3Config"])
    with pytest.raises(ValueError, match=r"got none for 'gate_up', the role of .*gate_up_proj"):
        init.plan(model, "torchtitan-deepseek-v3")


def test_mamba_of_transformers_has_the_roles_of_mamba():
    model = built("MambaConfig", {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 500})
    init.initialize_(model, "mamba", seed=0)
    assert init.audit(model, "mamba").findings == []
    kinds = {role.kind for role in weight_roles(model, trace(model)).values()}
    assert kinds == {"embedding", "head", "mixer input", "mixer output", "conv", "dt"}


def test_the_rules_to_copy_fit_a_llama():
    page = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "modern-networks.md"
    names = {}
    for block in python_blocks(page)[:2]:  # the set-up, and the lines for a Llama
        exec(textwrap.dedent("\n".join(block.lines)), names)
    model = built("LlamaConfig", GROUPED)
    init.initialize_(model, names["rules"], seed=0)
    drawn = {name: parameter.std().item() for name, parameter in model.named_parameters()}
    assert drawn["model.layers.2.mlp.down_proj.weight"] == pytest.approx(0.02 / 24**0.5, rel=0.02)
    assert drawn["model.layers.0.mlp.up_proj.weight"] == pytest.approx(0.02, rel=0.02)
    assert drawn["lm_head.weight"] == pytest.approx(0.02, rel=0.02)
    assert torch.all(model.model.norm.weight == 1)
