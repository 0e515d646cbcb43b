"""Check older decoders, mixtures of experts and state-space models of transformers."""

import pytest
from corpus import checks, known
from corpus.from_transformers import case

MODELS = [
    "Bloom",
    "Mpt",
    "CodeGen",
    "XGLM",
    "BioGpt",
    "Apertus",
    "GPT2",
    "Falcon",
    "GPTNeo",
    "Mixtral",
    "Mixtral, 24 layers",
    "Qwen3Moe",
    "GptOss",
    "Mamba",
    "Mamba2",
    "Rwkv",
    "Lfm2",
]


@pytest.mark.parametrize("name", MODELS)
def test_looking_at_the_published_start_changes_nothing_and_finds_nothing(name):
    found = checks.failing(case(name))
    assert found.keys() == known.PUBLISHED.get(name, {}).keys(), found


@pytest.mark.parametrize("name", MODELS)
def test_auto_gives_a_good_start(name):
    found = checks.failing(case(name), "auto")
    assert found.keys() == known.AUTO.get(name, {}).keys(), found
