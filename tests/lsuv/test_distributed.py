"""Sums over processes and common failures, with a thread for each process."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from initguide.lsuv.distributed import (
    FailedElsewhereError,
    Processes,
    check_same_state,
    failing_together,
    from_first,
    processes_of,
    resharded,
    total,
)


class Group:
    """A process group as one of its members sees it."""

    def __init__(self, rank, messages, barrier):
        self.messages, self.barrier, self.rank = messages, barrier, lambda: rank

    def sum(self, message):
        self.messages[self.rank()] = message.clone()
        self.barrier.wait()
        message.copy_(sum(self.messages))
        self.barrier.wait()


@pytest.fixture
def in_each(monkeypatch):
    """Call a function in each of some processes and return the values or errors."""
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda message, group: group.sum(message))

    def run(count, function):
        messages, barrier = [None] * count, threading.Barrier(count, timeout=10)

        def call(rank):
            try:
                return function(Processes((Group(rank, messages, barrier),)), rank)
            except Exception as error:
                return error

        with ThreadPoolExecutor(count) as pool:
            return [*pool.map(call, range(count))]

    return run


def test_numbers_are_summed_over_all_processes(in_each):
    assert in_each(3, lambda group, i: total(group, i, 10.0 * i, 0.5)) == [[3, 30, 1.5]] * 3
    assert in_each(2, lambda group, i: total(group, i)) == [[1], [1]]
    assert in_each(2, lambda group, i: total(group)) == [[], []]
    assert total(Processes(), 1, 2) == (1, 2)


def test_a_mesh_is_summed_along_each_of_its_axes(monkeypatch):
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda message, group: message.mul_(group))
    assert total(Processes((2, 3)), 1.5, 2) == [9, 12]


@pytest.mark.parametrize("number", [0, 1, 2**31 - 1, 2**31, 2**62 - 1, 123456789012345678])
def test_the_number_of_the_first_process_reaches_all_exactly(in_each, number):
    found = in_each(3, lambda group, i: from_first(group, number if i == 0 else 7 * i))
    assert found == [number] * 3
    assert from_first(Processes(), number) == number


def test_generators_must_be_in_the_state_of_the_first(in_each):
    def check(*seeds):
        sources = [torch.Generator().manual_seed(seed) for seed in seeds]
        return in_each(len(seeds), lambda group, i: check_same_state(group, sources[i]))

    assert check(0, 0, 0) == [None] * 3
    for count, seeds in ((1, (0, 1, 0)), (2, (0, 1, 1)), (2, (5, 0, 0))):
        for error in check(*seeds):
            assert isinstance(error, ValueError)
            assert str(error).endswith(f"differs from the first process in {count}")


def test_a_failure_in_some_processes_is_one_in_all(in_each):
    def work(group, i, fails):
        with failing_together(group):
            if i in fails:
                raise KeyError(i)
        return "done"

    assert in_each(3, lambda group, i: work(group, i, ())) == ["done"] * 3
    for fails in ((1,), (0, 2)):
        found = in_each(3, lambda group, i, fails=fails: work(group, i, fails))
        for i, error in enumerate(found):
            assert type(error) is (KeyError if i in fails else FailedElsewhereError)
            assert i in fails or f"got one in {len(fails)} of them" in str(error)
    with pytest.raises(KeyError):
        work(Processes(), 0, (0,))


def test_a_failure_that_another_process_reports_is_not_reported_again(in_each):
    def work(group, i):
        with failing_together(group):
            if i == 0:
                raise KeyError
            total(group, 1.0)

    first, second = in_each(2, work)
    assert (type(first), type(second)) == (KeyError, FailedElsewhereError)


def test_a_plain_model_runs_in_its_own_process():
    assert processes_of(nn.Linear(2, 2)) == Processes((), "cpu")


@pytest.mark.parametrize("fails", [False, True])
def test_gathered_parameters_are_shards_again_afterwards(monkeypatch, fails):
    calls = []

    class Unit(nn.Linear):
        def reshard(self):
            calls.append("reshard")

        def reset_iter_state(self):
            calls.append("reset")
            raise AttributeError

    monkeypatch.setitem(sys.modules, "torch.distributed.fsdp", SimpleNamespace(FSDPModule=Unit))
    model = nn.Sequential(Unit(2, 2), nn.Linear(2, 2))
    try:
        with resharded(model):
            calls.append("run")
            assert not fails
    except AssertionError:
        assert fails
    assert calls == ["reshard", "run", *["reset"] * fails, "reshard"]
