"""Check decoders of transformers, as published and after "auto"."""

import pytest
from corpus import checks, known
from corpus.from_transformers import case

MODELS = [
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
]


@pytest.mark.parametrize("name", MODELS)
def test_looking_at_the_published_start_changes_nothing_and_finds_nothing(name):
    found = checks.failing(case(name))
    assert found.keys() == known.PUBLISHED.get(name, {}).keys(), found


@pytest.mark.parametrize("name", MODELS)
def test_auto_gives_a_good_start(name):
    found = checks.failing(case(name), "auto")
    assert found.keys() == known.AUTO.get(name, {}).keys(), found
