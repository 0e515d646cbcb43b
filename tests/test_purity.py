"""Looking at a model changes nothing, whatever the forward of the model does."""

import gc
import types

import pytest
import side_effects
import side_effects_inside
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
VARIED = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(0))


def square(output):
    return output.square().mean()


def train(model):
    optimizer = torch.optim.Adam(model.parameters())
    init.measure_training(model, [(VARIED,)] * 2, optimizer, square, steps=2)


def with_weights_set_back(run):
    def wrapper(model):
        before = [(p, p.data, p.detach().clone()) for p in model.parameters()]
        try:
            run(model)
        finally:
            for parameter, memory, values in before:
                parameter.data = memory.copy_(values)

    return wrapper


@with_weights_set_back
def scale(model):
    init.lsuv_(model, VARIED, generator=torch.Generator())


@with_weights_set_back
def check_coordinates(model):
    init.coord_check(lambda _: model, [1, 2], VARIED, square, steps=1)


RUNS = {
    "measure": lambda model: init.measure(model, VARIED),
    "measure with a loss": lambda model: init.measure(model, VARIED, loss=square),
    "measure_training": train,
    "lsuv_": scale,
    "coord_check": check_coordinates,
}
# These fail in some tool, and everything is restored then too.
MAY_FAIL = (
    *(side_effects.FailsLate, side_effects_inside.RemovesAndAdds, side_effects.ChangesSettings),
    side_effects.CountsInGlobal,
)
# What is logged, and what a generator has given, is not taken back.
NOT_UNDONE = (side_effects.Logs, side_effects_inside.HoldsGenerator)
RUN_BUILDERS = [build for build in BUILDERS if build not in NOT_UNDONE]


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


@pytest.mark.parametrize("tool", RUNS)
@pytest.mark.parametrize("built", RUN_BUILDERS, indirect=True, ids=lambda build: build.__name__)
def test_a_run_is_undone(built, tool):
    inputs = VARIED.clone()
    before = fingerprint(built)
    try:
        RUNS[tool](built)
    except (ValueError, RuntimeError, AttributeError):
        assert isinstance(built, MAY_FAIL)
    after = fingerprint(built)
    assert [*differences(before, after)] == []
    assert torch.equal(VARIED, inputs)


def test_what_a_hook_or_a_loss_records_is_kept():
    model, outputs, values = Base(), [], []
    model.first.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    init.measure(model, BATCH, loss=lambda y: values.append(y) or y.square().mean())
    assert (len(outputs), len(values)) == (1, 1)


def test_a_loss_reads_what_the_forward_left_in_the_model():
    model = side_effects_inside.AppendsToList()
    report = init.measure(model, VARIED, loss=lambda y: y.mean() + model.losses[-1])
    assert report.rows[0]["gradient_rms"] > 0
    assert model.losses == []


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


USER, STORE = types.ModuleType("user"), types.ModuleType("store")
vars(USER).update(store=STORE, log=[])
vars(STORE).update(log=[])
CODE = """
def first(x):
    log.append(1)
    return second(x)


def second(x):
    store.log.append(1)
    return x
"""
exec(CODE, vars(USER))


class CallsModules(Base):
    def effect(self, x):
        return USER.first(x)


def test_a_module_that_only_a_called_function_names_is_looked_through():
    model = CallsModules()
    init.plan(model)
    assert (USER.log, STORE.log) == ([], [])
    model(BATCH)
    assert (USER.log, STORE.log) == ([1], [1])
    USER.log.clear()
    STORE.log.clear()


def test_an_error_in_the_middle_leaves_no_copies_behind(monkeypatch):
    model = side_effects.AppendsToGlobals()
    before = fingerprint(model)
    monkeypatch.setattr(nn.Linear, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        init.plan(model, example=BATCH)
    assert [*differences(before, fingerprint(model))] == []


def interrupted(*_):
    raise KeyboardInterrupt


MEMORY = torch.arange(60.0).view(6, 10)


class WritesToLarge(Base):
    """It writes in several ways to tensors that are large, and that only a closure or a global has.

    The values of large tensors are copied only before a function writes to them.
    """

    def __init__(self, closed_over):
        super().__init__()
        self.keep = lambda y: closed_over[:, :2].copy_(y[:1, :2])

    def forward(self, x):
        y = super().forward(x)
        with torch.no_grad():
            MEMORY[0] = 7
            MEMORY.view(-1)[5:9].mul_(2)
            torch.add(MEMORY, 1, out=MEMORY)
            self.keep(y)
        return y


@pytest.mark.parametrize("tool", RUNS)
def test_large_tensors_outside_the_model_are_restored(tool, monkeypatch):
    monkeypatch.setattr("initguide._contents.LARGE", 8)
    closed_over = torch.ones(6, 4)
    model = WritesToLarge(closed_over)
    before = MEMORY.clone()
    RUNS[tool](model)
    assert torch.equal(MEMORY, before)
    assert (closed_over == 1).all()
    # The forward by itself writes to them.
    model(VARIED)
    assert not torch.equal(MEMORY, before)
    assert not (closed_over == 1).all()
    MEMORY.copy_(before)
