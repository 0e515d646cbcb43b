"""The digits, and the order in which training sees them."""

import numpy as np
import pytest
import torch
from torch import nn

from initguide.experiments import Data, digits, fit, pytorch_default
from initguide.experiments.data import random_indices

pytestmark = pytest.mark.usefixtures("random_states_kept")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_digits_are_standardized_and_split_once(data):
    from sklearn.datasets import load_digits

    assert data.x_train.shape == (1400, 64)
    assert data.x_test.shape == (397, 64)
    assert data.x_train.dtype == torch.float32
    assert data.y_test.dtype == torch.int64
    assert data.x_train.mean().item() == pytest.approx(0, abs=1e-5)
    assert data.x_train.square().mean().item() == pytest.approx(1, abs=1e-5)
    assert all(torch.equal(a, b) for a, b in zip(data, digits(), strict=True))
    # Each image appears once: undo the scaling and compare with the source.
    pixels, labels = load_digits(return_X_y=True)
    x, y = torch.cat([data.x_train, data.x_test]), torch.cat([data.y_train, data.y_test])
    scale = (pixels.max() - pixels.min()) / (x.max() - x.min()).item()
    restored = ((x - x.min()).double() * scale).round().numpy()
    ours = sorted(map(tuple, np.column_stack([restored, y])))
    assert ours == sorted(map(tuple, np.column_stack([pixels, labels])))


def test_each_epoch_has_every_input_once_in_the_order_of_the_seed(data):
    seen = []

    class Recorder(nn.Linear):
        def forward(self, x):
            if self.training:
                seen.append((x * torch.arange(64)).sum(1))
            return super().forward(x)

    small = Data(data.x_train[:20], data.y_train[:20], data.x_test, data.y_test)
    for seed in (0, 1):
        model = nn.utils.skip_init(Recorder, 64, 10)
        pytorch_default(model, seeded())
        fit(model, small, steps=4, batch=10, seed=seed)
    epochs = [torch.cat(seen[i : i + 2]) for i in range(0, 8, 2)]
    for i, epoch in enumerate(epochs):
        assert torch.equal(epoch.sort().values, epochs[0].sort().values)
        assert not any(torch.equal(epoch, other) for other in epochs[:i])


def test_random_indices_depend_on_their_own_seed_only():
    one, other = (next(random_indices(1000, 50, seeds)) for seeds in ([3, 4], [4]))
    assert one.shape == (2, 50)
    assert torch.equal(one[1], other[0])
    assert not torch.equal(one[0], one[1])
    assert 0 <= one.min() <= one.max() < 1000
