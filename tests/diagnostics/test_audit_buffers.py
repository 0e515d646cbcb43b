"""`audit` reads complex weights, and buffers that no rule describes."""

import math

import pytest
import torch
from torch import nn

import initguide as init
from initguide.diagnostics.audit import audit


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(64, 64, dtype=torch.cfloat),
        lambda: nn.Conv1d(32, 256, 3, dtype=torch.cdouble),
    ],
)
def test_complex_weights_are_checked_for_equal_values(build):
    model = build()
    init.initialize_(model, seed=0)
    init.audit(model).assert_ok()
    with torch.no_grad():
        model.weight.zero_()
    (found,) = init.audit(model).findings
    assert (found.kind, found.where) == ("constant", "weight")
    with torch.no_grad():
        model.weight[0] = math.nan
    (found,) = init.audit(model).findings
    assert found.kind == "not finite"


def with_buffer(values):
    model = nn.Sequential(nn.Linear(8, 8))
    model.register_buffer("table", values)
    init.initialize_(model, "xavier", seed=0)
    return model


def test_a_buffer_without_a_rule_is_not_known():
    report = audit(with_buffer(torch.full((8, 8), -math.inf).triu(1)), "xavier")
    assert report.ok
    assert report.notes[1] == "not known: whether buffers without a rule are right, such as table"
    assert "table" not in str(report).splitlines()[1]


@pytest.mark.parametrize("value", [math.nan, 1e-41])
def test_a_buffer_of_untouched_memory_is_found(value):
    values = torch.arange(20.0)
    values[7] = value
    found = audit(with_buffer(values), "xavier").findings
    assert [(each.kind, each.where) for each in found] == [("untouched memory", "table")]
    assert audit(with_buffer(values.half()), "xavier").ok == (value == 1e-41)


ODD = {
    "sparse": torch.eye(4).to_sparse(),
    "quantized": torch.ones(4).to(torch.float8_e4m3fn),
    "packed": torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2),
    "integers": torch.arange(4),
    "conditions": torch.ones(4, dtype=torch.bool),
    "complex": torch.ones(4, dtype=torch.complex64),
    "empty": torch.ones(0),
    "expanded": torch.ones(1).expand(5),
    "transposed": torch.randn(5, 3).T,
    "scalar": torch.tensor(3),
}


@pytest.mark.parametrize("name", ODD)
def test_a_buffer_may_hold_anything(name):
    model = with_buffer(ODD[name])
    dtypes = {row["parameter"]: row["dtype"] for row in audit(model, "xavier").rows}
    assert dtypes.get("table", "none") in (str(ODD[name].dtype).removeprefix("torch."), "none")
