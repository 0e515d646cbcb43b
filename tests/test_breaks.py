"""The tests can fail: each of these faults, planted in a copy of the package, turns one red."""

import multiprocessing
import os
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What is broken: the file, the text, what takes its place, and the tests that must notice.
BREAKS = {
    "gain": ("gains.py", "return moment**-0.5", "return moment**-0.25", "test_gains.py"),
    "fan": (
        "fans.py",
        "return Fans(shape[1], shape[0])",
        "return Fans(shape[0], shape[1])",
        "methods/test_methods.py::test_std_by_hand",
    ),
    "mode": ("fans.py", "lambda fans: fans.fan_out", "lambda fans: fans.fan_in", "test_fans.py"),
    "sign": (
        "haar.py",
        "torch.copysign(_ONE, x.diagonal())",
        "torch.ones_like(x.diagonal())",
        "test_random.py",
    ),
    "generator ignored": (
        "methods/normal.py",
        "values.normal_(mean, std, generator=generator)",
        "values.normal_(mean, std)",
        "methods/test_methods.py::TestContract",
    ),
    "bound": (
        "methods/kaiming.py",
        "bound = math.sqrt(3.0) * std\n    return draw_uniform_",
        "bound = std\n    return draw_uniform_",
        "methods/test_methods.py::test_values_are_torchs_bit_for_bit",
    ),
    "dtype": (
        "methods/normal.py",
        "return tensor.dtype.itemsize < 4",
        "return False",
        "test_drop_in.py::test_half_precision_uniform_is_not_biased_as_torchs_is",
    ),
    "layout": (
        "fans.py",
        'sizes if layout == "out_in" else',
        'sizes if layout == "in_out" else',
        "test_fans.py::test_fans_by_hand",
    ),
    "truncation": (
        "methods/truncated_normal.py",
        "mean - cut * whole, mean + cut * whole",
        "mean - cut * std, mean + cut * std",
        "methods/test_properties.py::test_a_truncated_normal_has_the_std_it_is_asked_for",
    ),
    "gate order": (
        "layers/recurrent.py",
        "forget = parameter.chunk(4)[1]",
        "forget = parameter.chunk(4)[0]",
        "layers/test_layers.py",
    ),
    "blocks of one draw": (
        "layers/gates.py",
        "for block in tensor.chunk(gates):",
        "for block in [tensor]:",
        "layers/test_layers.py",
    ),
    "a leaf no more": (
        "methods/normal.py",
        "values = tensor.detach()\n    if _is_narrow(tensor):\n        drawn = torch.empty_like("
        "values, dtype=torch.float32)\n        values.copy_(drawn.normal_",
        "values = tensor\n    if _is_narrow(tensor):\n        drawn = torch.empty_like("
        "values, dtype=torch.float32)\n        values.copy_(drawn.normal_",
        "methods/test_methods.py::TestContract::test_a_parameter_stays_a_leaf_and_the_tensor_is_returned",
    ),
    "a kernel's centre": (
        "methods/identity.py",
        "(size // 2 for size in zeros.shape[2:])",
        "(0 for size in zeros.shape[2:])",
        "test_drop_in.py::test_values_are_torchs_for_any_tensor",
    ),
    "channel order": (
        "methods/icnr.py",
        "drawn.repeat_interleave(block, dim=0)",
        "torch.cat([drawn] * block)",
        "methods/test_properties.py",
    ),
    "a mistake that is not known": (
        "testing/diagnose.py",
        "(case.shape[1], case.shape[0], *case.shape[2:])",
        "case.shape",
        "testing/test_check_initializer.py::test_a_wrong_one_is_named[fans swapped]",
    ),
    "a law that is not compared": (
        "testing/entries.py",
        "if far <= limit:",
        "if far <= 1:",
        "testing/test_check_initializer.py::test_a_wrong_one_is_named[uniform]",
    ),
    "a law of Q that is not tested": (
        "testing/structure.py",
        "return _haar(found, gains)",
        "return []",
        "testing/test_check_initializer.py::test_a_wrong_one_is_named[no signs]",
    ),
    "a generator that may be ignored": (
        "testing/contract.py",
        "    if by_state:",
        "    if by_state and not by_state:",
        "testing/test_check_initializer.py::test_a_wrong_one_is_named[generator]",
    ),
    "incoming for outgoing": (
        "methods/sparse.py",
        "heard = keys.topk(count, dim=1).indices",
        "heard = keys.topk(count, dim=1).indices.sort().values // 2",
        "methods/test_properties.py",
    ),
}


def run_tests(folder: Path, tests: str) -> None:
    """Run tests in this process on the package in a folder; it prints into a file there."""
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    with (folder / "printed").open("w") as sys.stdout:
        options = ["-x", "-q", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
        config = f"--config-file={ROOT / 'pyproject.toml'}"
        code = pytest.main([*options, config, str(ROOT / "tests" / tests)])
        print(sys.modules["initguide"].__file__)
    os._exit(code)


@pytest.fixture(scope="module")
def processes():
    """Return a source of processes that have imported what takes long, but nothing of ours."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "scipy.stats", "playwright.sync_api"])
    return context


@pytest.mark.parametrize("fault", BREAKS)
def test_a_planted_fault_is_noticed(fault, tmp_path, processes):
    file, text, replacement, tests = BREAKS[fault]
    # With what is compiled already.
    path = shutil.copytree(ROOT / "initguide", tmp_path / "initguide") / file
    source = path.read_text(encoding="utf-8")
    assert source.count(text) == 1, f"{file} must hold this once: {text}"
    path.write_text(source.replace(text, replacement), encoding="utf-8")
    run = processes.Process(target=run_tests, args=(tmp_path, tests))
    run.start()
    run.join()
    printed = (tmp_path / "printed").read_text()
    assert run.exitcode == 1, printed
    assert "1 failed" in printed
    # The copy is what was tested.
    assert str(tmp_path / "initguide") in printed.splitlines()[-1]
