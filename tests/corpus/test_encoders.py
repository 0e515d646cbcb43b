"""Check encoders of text and of images of transformers, and encoders with decoders."""

import pytest
from corpus import checks, known
from corpus.from_transformers import case

MODELS = [
    "BERT",
    "ALBERT",
    "DeBERTa",
    "DistilBERT",
    "MPNet",
    "ModernBERT",
    "FNet",
    "ESM",
    "T5",
    "BART",
    "ViT",
    "BEiT",
    "DINOv2",
    "ConvNeXt",
    "ResNet",
    "PoolFormer",
]


@pytest.mark.parametrize("name", MODELS)
def test_looking_at_the_published_start_changes_nothing_and_finds_nothing(name):
    found = checks.failing(case(name))
    assert found.keys() == known.PUBLISHED.get(name, {}).keys(), found


@pytest.mark.parametrize("name", MODELS)
def test_auto_gives_a_good_start(name):
    found = checks.failing(case(name), "auto")
    assert found.keys() == known.AUTO.get(name, {}).keys(), found
