"""`plan` and `audit` change nothing, whatever the forward of the model does."""

import gc

import pytest
import side_effects
import torch
from side_effects import BUILDERS, WIDTH, Base, fingerprint
from torch import fx, nn

import initguide as init
from initguide.graph.custom_layers import custom_layer

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
    model = request.param()
    yield model
    # A finalizer must not run during another test.
    model.__class__ = Base


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


@pytest.mark.parametrize("build", [side_effects.FailsLate, side_effects.BranchesOnValues])
def test_nothing_is_kept_of_a_run_that_fails(build):
    model = build()
    init.plan(model)
    gc.collect()
    kept = [each for each in gc.get_objects() if issubclass(type(each), (fx.Proxy, build))]
    assert all(each is model for each in kept)


def test_a_module_alone_does_not_run_to_be_recognized():
    norm = side_effects.CountingNorm()
    before = fingerprint(norm)
    assert custom_layer(norm).neutral_values == {"weight": 1.0}
    assert [*differences(before, fingerprint(norm))] == []


def test_objects_of_a_library_in_c_are_left_alone():
    # JAX guards the attributes of such classes.
    import jax.numpy as jnp

    model = Base()
    model.kernel = jnp.ones((3, 3))
    model.place = model.kernel.sharding
    before = fingerprint(model)
    init.plan(model)
    assert [*differences(before, fingerprint(model))] == []


def test_an_error_in_the_middle_leaves_no_copies_behind(monkeypatch):
    model = side_effects.AppendsToGlobals()
    before = fingerprint(model)
    monkeypatch.setattr(nn.Linear, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        init.plan(model, example=BATCH)
    assert [*differences(before, fingerprint(model))] == []


def interrupted(*_):
    raise KeyboardInterrupt
