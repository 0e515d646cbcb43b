"""Bad input: the rule, then the value; and nothing has changed."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import initguide as init

NAN, INF = math.nan, math.inf
LINEAR, LSTM = nn.Linear(2, 3), nn.LSTM(2, 3)


def empty(*shape, **options):
    return torch.full(shape or (4, 3), 7.0, **options)


CASES = [
    (lambda: init.fans((3,)), "shape must have at least 2 dimensions to have fans; got (3,)"),
    (lambda: init.fans((3, 0)), "shape must hold positive sizes; got 0 in (3, 0)"),
    (lambda: init.fans((3, -1)), "shape must hold positive sizes; got -1 in (3, -1)"),
    (lambda: init.fans((3, 1.5)), "shape must hold integers; got 1.5 in (3, 1.5)"),
    (lambda: init.fans(5), "shape must be a sequence of integers; got 5"),
    (lambda: init.fans((3, 3), "io"), "layout must be 'in_out' or 'out_in'; got 'io'"),
    (
        lambda: init.fans((3, 3)).pick("fan"),
        "mode must be 'fan_in', 'fan_out', 'fan_avg' or 'fan_geo_avg'; got 'fan'",
    ),
    (lambda: init.layer_fans(LINEAR, "w"), "name must be one of ['weight']; got 'w'"),
    (
        lambda: init.layer_fans(LSTM),
        "name must be one of ['weight_ih_l0', 'weight_hh_l0']; got 'weight'",
    ),
    (lambda: init.layer_fans(nn.LazyLinear(3)), "weight must have a shape; got a lazy LazyLinear"),
    (lambda: init.gain("rellu"), "got 'rellu'"),
    (lambda: init.gain(3.0), "nonlinearity must be a name or a callable; got 3.0"),
    (
        lambda: init.gain("relu", "back"),
        "kind must be 'forward', 'std', 'backward' or 'unit'; got 'back'",
    ),
    (lambda: init.gain(lambda z: 0 * z), "finite, positive forward moment; got 0"),
    (lambda: init.gain(torch.log), "finite, positive forward moment; got nan"),
    (lambda: init.gain(nn.Softmax(0)), "nonlinearity must be elementwise; got Softmax(dim=0)"),
    (lambda: init.gain(torch.sum), "which turns shape (31,) into ()"),
    (lambda: init.gain(lambda z: z.nope), "which raised AttributeError"),
    (lambda: init.calculate_gain("leaky_relu", NAN), "negative_slope must be finite; got nan"),
    (lambda: init.calculate_gain("leaky_relu", True), "negative_slope must be a number; got True"),
    (lambda: init.normal_(empty(), std=-1.0), "std must be at least 0; got -1.0"),
    (lambda: init.normal_(empty(), mean=NAN), "mean must be finite; got nan"),
    (lambda: init.normal_(empty(), std="1"), "std must be a number; got '1'"),
    (lambda: init.normal_([1.0]), "tensor must be a torch.Tensor; got list"),
    (lambda: init.normal((3, 0)), "shape must hold positive sizes; got 0 in (3, 0)"),
    (lambda: init.normal((3,), std=INF), "std must be finite; got inf"),
    (lambda: init.normal((3,), dtype=int), "dtype must be numpy's float16, float32 or float64"),
    (lambda: init.normal((3,), dtype="f33"), "float64; got 'f33'"),
    (lambda: init.normal((3,), rng="0"), "rng must be a numpy.random.Generator, a seed or None"),
    (lambda: init.normal((3,), rng=-1), "rng must be at least 0 as a seed; got -1"),
    (lambda: init.uniform_(empty(), 1.0, 0.0), "a must be at most b; got a=1.0 and b=0.0"),
    (lambda: init.uniform((3,), 0, INF), "b must be finite; got inf"),
    (lambda: init.trunc_normal_(empty(), std=0.0), "std must be positive; got 0.0"),
    (lambda: init.trunc_normal((3,), a=1, b=0), "a must be at most b; got a=1.0 and b=0.0"),
    (lambda: init.trunc_normal_(empty(), a=NAN), "a must be finite; got nan"),
    (lambda: init.trunc_normal_(empty(), b=-INF), "b must be finite; got -inf"),
    (lambda: init.constant_(empty(), "0"), "val must be a real number; got '0'"),
    (lambda: init.constant_(empty(), 1j), "val must be a real number; got 1j"),
    (lambda: init.constant((3,), None), "val must be a real number; got None"),
    (
        lambda: init.constant_(torch.zeros(3, dtype=torch.int64), INF),
        "val must be a whole number for torch.int64; got inf",
    ),
    (lambda: init.zeros_(3), "tensor must be a torch.Tensor; got int"),
    (lambda: init.ones([3, True]), "shape must hold integers; got True in (3, True)"),
    (
        lambda: init.constant_(torch.zeros(3, dtype=torch.int64), 0.5),
        "val must be a whole number for torch.int64; got 0.5",
    ),
    (lambda: init.zeros("34"), "shape must be a sequence of integers; got '34'"),
    (lambda: init.xavier_normal_(empty(), gain=NAN), "gain must be finite; got nan"),
    (lambda: init.xavier_uniform_(empty(), gain=-1.0), "gain must be at least 0; got -1.0"),
    (lambda: init.xavier_normal((3, 4), layout="hwio"), "layout must be"),
    (lambda: init.lecun_normal_(empty(), gain="rellu"), "got 'rellu'"),
    (lambda: init.kaiming_normal_(empty(), mode="fan"), "mode must be"),
    (lambda: init.kaiming_normal_(empty(), a=NAN), "negative_slope must be finite; got nan"),
    (lambda: init.kaiming_uniform((3, 4), nonlinearity="glu"), "got 'glu'"),
    (lambda: init.orthogonal_(empty(3)), "tensor must have at least 2 dimensions; got (3,)"),
    (lambda: init.orthogonal((3,)), "shape must have at least 2 dimensions; got (3,)"),
    (lambda: init.orthogonal((3, 3), layout="oi"), "layout must be"),
    (lambda: init.orthogonal_(empty(), NAN), "gain must be finite; got nan"),
    (lambda: init.orthogonal_(empty(), [1]), "gain must be a number; got [1]"),
    (lambda: init.delta_orthogonal_(empty()), "must have 3 or 4 or 5 dimensions; got shape (4, 3)"),
    (lambda: init.delta_orthogonal((4, 3)), "shape must have 3 to 5 dimensions; got (4, 3)"),
    (lambda: init.delta_orthogonal((3, 4, 3), "rellu"), "got 'rellu'"),
    (lambda: init.delta_orthogonal((3, 4, 3), layout="oi"), "layout must be"),
    (lambda: init.eye_(empty(3)), "tensor must have 2 dimensions; got shape (3,)"),
    (lambda: init.eye((3, 3, 3)), "shape must have 2 dimensions; got (3, 3, 3)"),
    (lambda: init.identity_(empty(3)), "must have 2 or 3 or 4 or 5 dimensions; got shape (3,)"),
    (lambda: init.identity((3, 3), NAN), "gain must be finite; got nan"),
    (lambda: init.identity((3,)), "shape must have 2 to 5 dimensions; got (3,)"),
    (lambda: init.dirac_(empty()), "must have 3 or 4 or 5 dimensions; got shape (4, 3)"),
    (
        lambda: init.dirac_(empty(4, 3, 3), groups=3),
        "groups must divide the outputs; got 3 groups and 4 outputs",
    ),
    (lambda: init.dirac_(empty(4, 3, 3), groups=0), "groups must be a positive integer; got 0"),
    (lambda: init.dirac((4, 3)), "shape must have 3 to 5 dimensions; got (4, 3)"),
    (lambda: init.dirac((3, 3, 4), groups=1.5), "groups must be a positive integer; got 1.5"),
    (lambda: init.sparse_(empty(), 1.5), "sparsity must be between 0 and 1; got 1.5"),
    (lambda: init.sparse_(empty(), NAN), "sparsity must be finite; got nan"),
    (lambda: init.sparse_(empty(), 0.5, -1.0), "std must be at least 0; got -1.0"),
    (lambda: init.sparse_(empty(4, 3, 2), 0.5), "must have 2 dimensions; got shape (4, 3, 2)"),
    (lambda: init.sparse((4, 3, 2), 0.5), "shape must have 2 dimensions; got (4, 3, 2)"),
    (lambda: init.sparse((4, 3), -0.1), "sparsity must be between 0 and 1; got -0.1"),
    (
        lambda: init.sparse_incoming_(empty()),
        "connections must be at most the number of inputs; got 15 and 3 inputs",
    ),
    (
        lambda: init.sparse_incoming((3, 40)),
        "connections must be at most the number of inputs; got 15 and 3 inputs",
    ),
    (lambda: init.sparse_incoming_(empty(), 0), "connections must be a positive integer; got 0"),
    (lambda: init.sparse_incoming((3, 4), True), "connections must be a positive integer; got"),
    (lambda: init.variance_scaling_(empty(), 0), "scale must be positive; got 0"),
    (lambda: init.variance_scaling_(empty(), NAN), "scale must be finite; got nan"),
    (lambda: init.variance_scaling((3, 4), -1.0), "scale must be positive; got -1.0"),
    (lambda: init.variance_scaling_(empty(), mode="avg"), "or 'fan_geo_avg'; got 'avg'"),
    (
        lambda: init.variance_scaling((3, 4), distribution="gauss"),
        "distribution must be 'truncated_normal', 'normal' or 'uniform'; got 'gauss'",
    ),
    (lambda: init.truncated_normal_(empty(), cut=0), "cut must be at least 0.01 standard deviat"),
    (lambda: init.truncated_normal_(empty(), std=0.0), "std must be positive; got 0.0"),
    (lambda: init.truncated_normal((3,), cut=NAN), "cut must be finite; got nan"),
    (lambda: init.icnr_(empty()), "must have 3 or 4 or 5 dimensions; got shape (4, 3)"),
    (
        lambda: init.icnr_(empty(6, 2, 3, 3)),
        "upscale_factor**2 must divide the outputs; got 4 and 6 outputs",
    ),
    (lambda: init.icnr((3, 3, 2, 8), 0), "upscale_factor must be a positive integer; got 0"),
    (lambda: init.icnr((3, 3, 2, 6)), "upscale_factor**2 must divide the outputs; got 4 and 6"),
    (lambda: init.per_gate_(empty(), init.orthogonal_, 3), "gates must divide the outputs; got 3"),
    (lambda: init.normal(empty()), "shape must be a sequence of integers; got a tensor"),
]


@pytest.mark.parametrize(("call", "message"), CASES)
def test_message_and_random_state(call, message):
    before = torch.get_rng_state()
    with pytest.raises((ValueError, TypeError)) as error:
        call()
    assert message in str(error.value)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", [m.names[0] for m in init.METHODS if m.title[:3] in "XavLeCKai"])
def test_scaled_methods_need_two_dimensions(name):
    tensor = empty(3)
    with pytest.raises(ValueError, match=r"at least 2 dimensions to have fans; got shape \(3,\)"):
        getattr(init, name)(tensor)
    assert (tensor == 7).all()


EXACT = {"Zeros", "Ones", "Constant", "Eye", "Dirac", "Identity"}
RANDOM = [method for method in init.METHODS if method.title not in EXACT]


@pytest.mark.parametrize("method", RANDOM, ids=lambda method: method.title)
def test_integer_tensors_are_refused(method):
    tensor = torch.full((4, 3), 7)
    options = {"sparsity": 0.5} if method.title == "Sparse, by input" else {}
    with pytest.raises(TypeError, match=r"floating-point dtype; got torch\.int64"):
        method.tensor(tensor, **options)
    assert (tensor == 7).all()


def test_a_bad_call_leaves_the_generator_where_it_was():
    generator, rng = torch.Generator().manual_seed(0), np.random.default_rng(0)
    states = generator.get_state(), rng.bit_generator.state
    with pytest.raises(ValueError, match="a must be at most b"):
        init.trunc_normal_(empty(), a=1.0, b=0.0, generator=generator)
    with pytest.raises(ValueError, match="a must be at most b"):
        init.trunc_normal((3,), a=1.0, b=0.0, rng=rng)
    with pytest.raises(ValueError, match="mode must be"):
        init.kaiming_normal((3, 4), mode="fan", rng=rng)
    assert torch.equal(generator.get_state(), states[0])
    assert rng.bit_generator.state == states[1]
