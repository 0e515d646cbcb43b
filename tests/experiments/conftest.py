"""Fixtures of the experiments' tests: the digits, and a check of the global random states."""

import numpy as np
import pytest
import torch

from initguide.experiments import digits


@pytest.fixture(scope="session")
def data():
    return digits()


@pytest.fixture
def random_states_kept():
    """Fail if a test changes the global random state of torch or NumPy."""
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002 - the global state is tested here
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 - as above
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002 - as above
