"""What is noted of the steps of a training run, worked by hand."""

import pytest
import torch
from torch import nn

from initguide.diagnostics.training_history import History, update


def weight(*values):
    return nn.Parameter(torch.tensor(values))


def test_the_first_step_with_a_gradient_is_noted_for_each_weight():
    early, late, never, without = (weight(1.0, 2.0) for _ in range(4))
    run = History(3, weights={"a": [early, late], "b": [never, without]})
    for step, gradients in enumerate(([[0.0, 1.0], [0.0, 0.0]], [[1.0, 1.0], [2.0, 0.0]])):
        run.losses.append(1.0 - step)
        for parameter, gradient in zip((early, late), gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        never.grad = torch.zeros(2)
        run.note_gradients()
    assert run.learned == {early: 0, late: 1}


def test_an_update_is_the_change_of_all_weights_of_a_layer_together():
    # Before the step the squares sum to 9 + 16 + 0 over three entries; the changes are 1, 2 and 2.
    one, other, alone = weight(3.0, 4.0), weight(0.0), weight(0.0, 0.0)
    one.grad, other.grad = torch.tensor([1.0, 2.0]), torch.tensor([-2.0])
    optimizer = torch.optim.SGD([one, other, alone], lr=1.0)
    found = update(optimizer, {"a": [one, other], "b": [alone], "c": []})
    assert found == {
        "a": (pytest.approx(5 / 3**0.5), pytest.approx(3 / 3**0.5)),
        "b": (0.0, 0.0),
    }
    assert one.tolist() == [2.0, 2.0]
    assert other.tolist() == [2.0]
