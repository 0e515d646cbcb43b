"""`plan` and `audit` change nothing, whatever the forward of the model does."""

import pytest
import side_effects
import torch
from side_effects import BUILDERS, WIDTH, fingerprint

import initguide as init

BATCH = torch.ones(4, WIDTH)
TOOLS = {
    "plan": init.plan,
    "plan on an example": lambda model: init.plan(model, example=BATCH),
    "audit": init.audit,
}


def differences(before, after, path=""):
    """Yield where two fingerprints differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from differences(before.get(key), after.get(key), f"{path}/{key}")
    elif isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{path}/{index}")
    elif before != after:
        yield path, before, after


@pytest.fixture
def built(request):
    return request.param()


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("built", BUILDERS, indirect=True, ids=lambda build: build.__name__)
def test_nothing_changes(built, tool, capfd):
    before = fingerprint(built)
    try:
        TOOLS[tool](built)
    except ValueError:
        assert isinstance(built, side_effects.FailsLate)
    after = fingerprint(built)
    assert [*differences(before, after)] == []
    assert capfd.readouterr() == ("", "")
