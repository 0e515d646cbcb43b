"""Each private name of torch and CPython that the package uses still serves its purpose.

A failure names the version that broke it.
"""

import dis
import sys
import warnings

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.utils.checkpoint import CheckpointFunction

from initguide import _torch_internals as internals

VERSIONS = f"torch {torch.__version__}, Python {sys.version.split()[0]}"

CONVOLUTIONS = [nn.Conv1d, nn.Conv2d, nn.Conv3d]
TRANSPOSED = [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]
NORMS = [
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
]


def test_conv_base():
    for kind in (*CONVOLUTIONS, *TRANSPOSED):
        assert issubclass(kind, internals.ConvBase), f"_ConvNd no longer holds {kind} in {VERSIONS}"
    layer = nn.Conv2d(4, 6, 3, stride=2, groups=2)
    for name in ("in_channels", "out_channels", "groups", "kernel_size", "stride"):
        assert hasattr(layer, name), f"_ConvNd has no {name} in {VERSIONS}"
    assert not issubclass(nn.Linear, internals.ConvBase)


def test_conv_transpose_base():
    for kind in TRANSPOSED:
        message = f"_ConvTransposeNd no longer holds {kind} in {VERSIONS}"
        assert issubclass(kind, internals.ConvTransposeBase), message
    for kind in CONVOLUTIONS:
        message = f"_ConvTransposeNd holds {kind} in {VERSIONS}"
        assert not issubclass(kind, internals.ConvTransposeBase), message
    shape = tuple(nn.ConvTranspose2d(4, 6, 3).weight.shape)
    assert shape == (4, 6, 3, 3), f"transposed weights are not (in, out, *kernel) in {VERSIONS}"


def test_norm_base():
    for kind in NORMS:
        assert issubclass(kind, internals.NormBase), f"_NormBase does not hold {kind} in {VERSIONS}"
    for kind in (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.Linear):
        assert not issubclass(kind, internals.NormBase), f"_NormBase holds {kind} in {VERSIONS}"


def test_attention_projection():
    """Attention reads the weight of its projection and never calls the projection."""
    attention = nn.MultiheadAttention(8, 2)
    message = f"NonDynamicallyQuantizableLinear is not out_proj in {VERSIONS}"
    assert type(attention.out_proj) is internals.AttentionProjection, message
    called = []
    attention.out_proj.register_forward_hook(lambda *_: called.append(1))
    attention(*[torch.ones(3, 8)] * 3)
    assert called == [], f"attention calls out_proj in {VERSIONS}"


@pytest.fixture
def one_process():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_spectral_norm_step():
    layer = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
    (step,) = layer.parametrizations.weight
    message = f"spectral_norm does not add _SpectralNorm in {VERSIONS}"
    assert isinstance(step, internals.SpectralNormStep), message
    # Both vectors are buffers, and a call in training improves them.
    vectors = [vector.clone() for vector in step.buffers()]
    assert [len(vector) for vector in vectors] == [2, 3], message
    with torch.no_grad():
        layer.parametrizations.weight.original.normal_(generator=torch.Generator().manual_seed(0))
        step(layer.parametrizations.weight.original)
    assert not torch.equal(vectors[0], next(step.buffers())), message


def test_hooks_before():
    layer = nn.Linear(2, 2)
    layer.register_forward_pre_hook(print)
    message = f"hooks are not in _forward_pre_hooks in {VERSIONS}"
    assert internals.hooks_before(layer) == [print], message
    assert internals.hooks_before(None) == []


@pytest.mark.usefixtures("one_process")
def test_class_prefixes():
    sharded, parametrized = nn.Linear(3, 3), nn.Linear(3, 3)
    fully_shard(sharded, mesh=init_device_mesh("cpu", (1,)))
    nn.utils.parametrizations.weight_norm(parametrized)
    kinds = (type(sharded), type(parametrized), internals.AttentionProjection)
    for prefix, kind in zip(internals.CLASS_PREFIXES, kinds, strict=True):
        message = f"{prefix} is no prefix of {kind.__name__} in {VERSIONS}"
        assert kind.__name__ == f"{prefix}Linear", message


# One layer of each file of torch/nn/modules.
PASSING = {
    "batchnorm": nn.BatchNorm2d,
    "normalization": nn.LayerNorm,
    "instancenorm": nn.InstanceNorm2d,
    "dropout": nn.Dropout,
    "pooling": nn.MaxPool2d,
    "padding": nn.ZeroPad2d,
    "flatten": nn.Flatten,
    "fold": nn.Fold,
    "pixelshuffle": nn.PixelShuffle,
    "upsampling": nn.Upsample,
    "channelshuffle": nn.ChannelShuffle,
}


def test_passing_modules():
    assert PASSING.keys() == internals.PASSING_MODULES
    for file, kind in PASSING.items():
        message = f"{kind.__name__} is not in the file {file} in {VERSIONS}"
        assert kind.__module__ == f"torch.nn.modules.{file}", message


class Overriding(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return "ours" if func is nn.init.normal_ else super().__torch_function__(func, types, args)


class Inheriting(torch.Tensor):
    pass


class Disabled(torch.Tensor):
    __torch_function__ = torch._C._disabled_torch_function_impl


def test_is_overridden():
    plain = torch.ones(2)
    message = f"__torch_function__ of a subclass is not told apart in {VERSIONS}"
    assert internals.is_overridden(plain.as_subclass(Overriding)), message
    for kind in (Inheriting, Disabled):
        assert not internals.is_overridden(plain.as_subclass(kind)), message
    assert not internals.is_overridden(nn.Parameter(plain))


def test_overridden():
    result = internals.overridden("normal_", torch.ones(2).as_subclass(Overriding), mean=0.0)
    assert result == "ours", f"handle_torch_function does not call the class in {VERSIONS}"


def test_without_hooks():
    layer, calls = nn.Linear(2, 2), []
    layer.register_forward_hook(lambda *_: calls.append("after"))
    layer.register_forward_pre_hook(lambda *_: calls.append("before"))
    bare = internals.without_hooks(layer)
    bare(torch.ones(1, 2))
    assert calls == [], f"hooks are not in _forward_hooks and _forward_pre_hooks in {VERSIONS}"
    layer(torch.ones(1, 2))
    assert calls == ["before", "after"]
    assert bare.weight is layer.weight


class Counted:
    """Yields as many numbers as the statement that unpacks it needs."""

    def __iter__(self):
        return iter(range(internals.names_to_unpack()))


def test_names_to_unpack():
    assert "UNPACK_SEQUENCE" in dis.opmap, f"UNPACK_SEQUENCE is no instruction in {VERSIONS}"
    message = f"the bytecode of an assignment is another in {VERSIONS}"
    try:
        a, b = Counted()
        c, (d, e, f) = Counted(), Counted()
    except ValueError:
        pytest.fail(message)
    assert (a, b, d, e, f) == (0, 1, 0, 1, 2), message
    assert list(Counted()) == list(c) == [], message
    assert [*Counted()] == [], message


def test_wrappers():
    from torch.distributed.algorithms._checkpoint import checkpoint_wrapper

    layer = nn.Linear(2, 2)
    wrapped = [
        nn.DataParallel(layer),
        torch.compile(layer, backend="eager"),
        checkpoint_wrapper.checkpoint_wrapper(layer),
    ]
    for each in wrapped:
        message = f"{type(each).__name__} holds its module under another name in {VERSIONS}"
        assert internals.unwrapped(each) is layer, message
    model = nn.Sequential(layer, nn.Sequential(wrapped[1], nn.ReLU(), None), layer)
    bare = internals.unwrapped(model)
    assert [name for name, _ in bare.named_parameters()] == [*("0.weight", "0.bias")], (
        f"a copy of a module does not hold its modules in _modules in {VERSIONS}"
    )
    assert bare[1][0] is layer
    assert bare[0] is bare[2]
    assert model[1][0] is wrapped[1]
    assert internals.unwrapped(bare) is bare


def test_compiled_modules_run_eagerly():
    seen = []
    model = torch.compile(nn.Sequential(nn.Linear(2, 2)), backend="eager")
    model._orig_mod[0].register_forward_hook(lambda *_: seen.append(torch.compiler.is_compiling()))
    with internals.run_eagerly():
        model(torch.ones(1, 2))
    assert seen == [False], f"set_stance does not run a compiled module eagerly in {VERSIONS}"


def test_writes_are_counted():
    message = f"_version does not count writes in {VERSIONS}"
    assert internals.writes_to(torch.empty(3)) == 0, message
    assert internals.writes_to(nn.Linear(2, 2).weight) > 0, message


def test_scripted_as_torch():
    function = internals.scripted_as_torch(lambda tensor: tensor)
    function.__name__ = "zeros_"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(function)
    message = f"torch.jit.script ignores __prepare_scriptable__ in {VERSIONS}"
    assert scripted.name == "zeros_", message


def test_is_traced():
    plain = torch.ones(3)
    assert not internals.is_traced(plain)
    assert not internals.is_traced(nn.Parameter(plain))
    seen = []

    def look(tensor):
        seen.append(internals.is_traced(tensor))
        return tensor

    torch.func.vmap(look)(plain)
    with FakeTensorMode():
        look(torch.ones(3))
    torch.compile(look, backend="eager")(plain)
    assert seen == [True] * 3, f"vmap, fake tensors or compiling are not noticed in {VERSIONS}"


def test_unchecked_distributions(monkeypatch):
    # torch.compile switches the checks off for good.
    monkeypatch.setattr(torch.distributions.Distribution, "_validate_args", True)
    bad = torch.tensor(-1.0)
    with internals.unchecked_distributions():
        torch.distributions.Normal(0.0, bad)
    with pytest.raises(ValueError, match="scale"):
        torch.distributions.Normal(0.0, bad)


def test_unmarked_for_compiler():
    import torch._dynamo

    with internals.unmarked_for_compiler():
        torch._dynamo.mark_static_address("no tensor")
        torch._dynamo.mark_dynamic("no tensor", 0)
    with pytest.raises(TypeError, match="tensor"):
        torch._dynamo.mark_static_address("no tensor")


def test_without_checkpoints():
    x = torch.ones(2, requires_grad=True)
    with internals.without_checkpoints():
        y = CheckpointFunction.apply(torch.exp, True, x)
    assert torch.autograd.grad(y.sum(), x)[0].equal(y)
    y = CheckpointFunction.apply(torch.exp, True, x)
    with pytest.raises(RuntimeError, match="use_reentrant"):
        torch.autograd.grad(y.sum(), x)
