"""Check models that others wrote: the start that they publish, and the start by "auto"."""

import pytest
from corpus import checks, from_others, from_transformers, known

CASES = {
    name: (module, name) for module in (from_transformers, from_others) for name in module.MODELS
}


@pytest.fixture(params=CASES.values(), ids=CASES)
def case(request):
    """A model's name, and what builds it, its batch and its loss."""
    module, name = request.param
    return name, module.case(name)


def test_looking_at_the_published_start_changes_nothing_and_finds_nothing(case):
    name, parts = case
    found = checks.failing(parts, on_batch=name in known.NEED_EXAMPLE)
    assert found.keys() == known.PUBLISHED.get(name, {}).keys(), found


def test_auto_gives_a_good_start(case):
    name, parts = case
    found = checks.failing(parts, "auto", on_batch=name in known.NEED_EXAMPLE)
    assert found.keys() == known.AUTO.get(name, {}).keys(), found
