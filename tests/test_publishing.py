"""What others get: a package that builds and installs, and workflows that run our commands."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest
import snippet
import yaml

import initguide

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = ROOT / ".github" / "workflows"


def _run(*command: object, cwd: Path = ROOT, **environment: str) -> str:
    ran = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build from a copy of what git tracks, as a checkout has it, without a network."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in _tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes((ROOT / name).read_bytes())
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", copy / "dist", copy)
    return copy / "dist"


def test_the_wheel_holds_the_package_and_nothing_else(dist: Path):
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "initguide/py.typed" in names
    modules = {p.relative_to(ROOT).as_posix() for p in (ROOT / "initguide").rglob("*.py")}
    info = f"initguide-{initguide.__version__}.dist-info/"
    assert {name for name in names if name.endswith(".py")} == modules
    assert all(name.startswith(("initguide/", info)) for name in names)
    assert f"{info}licenses/LICENSE" in names


def test_the_tests_run_from_the_source_archive(dist: Path, tmp_path: Path):
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    names = {p.relative_to(unpacked).as_posix() for p in unpacked.rglob("*") if p.is_file()}
    left_out = {name for name in _tracked() if name not in names}
    assert left_out <= {name for name in left_out if name.startswith((".ci/", ".git"))}, left_out
    assert not [name for name in names if name.endswith(".pyc")]
    run = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    said = _run(*run, "tests/test_fans.py", cwd=unpacked, PYTHONPATH=str(unpacked))
    assert " passed" in said.splitlines()[-1]


def test_the_package_says_its_version(dist: Path):
    (wheel,) = dist.glob("*.whl")
    assert wheel.name.startswith(f"initguide-{initguide.__version__}-")


def test_the_index_shows_a_page_without_relative_links(dist: Path):
    (wheel,) = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
        text = archive.read(metadata).decode()
    assert "# initguide\n" in text
    targets = re.findall(r"\]\(([^)]*)\)|(?:src|href)=\"([^\"]*)\"", text)
    assert not [target for pair in targets for target in pair if target and "://" not in target]


def test_twine_finds_nothing_wrong(dist: Path):
    said = _run(sys.executable, "-m", "twine", "check", "--strict", *sorted(dist.iterdir()))
    assert said.count("PASSED") == 2


def test_the_installed_package_runs_the_readme(dist: Path, tmp_path: Path):
    (wheel,) = dist.glob("*.whl")
    target = tmp_path / "installed"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    _run(*pip, "--target", target, wheel)
    program = tmp_path / "program.py"
    where = "\nprint(init.__file__)\n"
    readme = (ROOT / "initguide" / "README.md").read_text(encoding="utf-8")
    program.write_text(snippet.code(readme) + where)
    said = _run(sys.executable, "-W", "error", program, cwd=tmp_path, PYTHONPATH=str(target))
    assert said.splitlines()[0] == "(256, 128) 1.5335"
    assert said.splitlines()[-1] == str(target / "initguide" / "__init__.py")


def test_the_package_needs_what_it_imports_and_no_more():
    assert [r for r in requires("initguide") or [] if "extra ==" not in r] == [
        "lazy-loader>=0.6",
        "numpy>=2",
        "torch>=2.10",
    ]


# Workflows ---------------------------------------------------------------------------------------


def _commands(name: str) -> list[str]:
    workflow = yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))
    # YAML 1.1 reads the key `on` as true.
    assert {"name", True, "jobs", "permissions"} <= set(workflow)
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(("run" in step) != ("uses" in step) for step in steps)
    pins = [step["uses"].partition("@")[2] for step in steps if "uses" in step]
    assert all(re.fullmatch(r"[0-9a-f]{40}", pin) for pin in pins)
    return [line for step in steps for line in step.get("run", "").splitlines()]


def test_the_pages_workflow_runs_the_makefile():
    targets = re.findall(
        r"^([a-z-]+): (?:setup|\.venv/docs-ready)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = _commands("pages.yml")
    made = [command.split()[1] for command in commands if command.startswith("make ")]
    assert made == ["check", "test", "build"]
    assert set(made) <= set(targets)
    for command in commands:
        if not command.startswith(("make ", "sudo apt-get")):
            assert command in readme, command


def test_the_package_workflow_runs_what_is_tested_here():
    commands = "\n".join(_commands("package.yml"))
    assert "python -m build --no-isolation" in commands
    assert "python -m twine check --strict dist/*" in commands
    assert "scripts/snippet.py initguide/README.md" in commands
    pins = re.findall(r"torch==[\d.]+", commands)
    assert pins
    assert set(pins) <= set((ROOT / "constraints.txt").read_text().splitlines())
    backend = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert all(f'"{need}"' in commands for need in backend)


def test_the_package_workflow_tests_the_lowest_and_the_newest_torch():
    jobs = yaml.safe_load((WORKFLOWS / "package.yml").read_text(encoding="utf-8"))["jobs"]
    versions = [each["torch"] for each in jobs["torch"]["strategy"]["matrix"]["include"]]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (needed,) = [each for each in project["dependencies"] if each.startswith("torch")]
    assert versions == [f"{needed.replace('>=', '==')}.0", "torch"]
    (tests,) = [
        step["run"].split()[2:]
        for step in jobs["torch"]["steps"]
        if step.get("run", "").startswith("pytest ")
    ]
    assert len(tests) > 5
    assert all((ROOT / path).exists() for path in tests)
    assert "torch" in jobs["publish"]["needs"]


def test_deploying_waits_for_the_tests():
    jobs = yaml.safe_load((WORKFLOWS / "pages.yml").read_text())["jobs"]
    assert set(jobs["deploy"]["needs"]) == {"test", "build"}
    assert yaml.safe_load((WORKFLOWS / "package.yml").read_text())["jobs"]["publish"]["needs"]


# Papers of the project ---------------------------------------------------------------------------


def test_the_citation_is_valid_and_agrees_with_the_package():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["cff-version"] == "1.2.0"
    assert cited["type"] == "software"
    assert cited["version"] == initguide.__version__
    assert cited["license"] == PROJECT["license"]
    assert [author["name"] for author in cited["authors"]] == [
        author["name"] for author in PROJECT["authors"]
    ]


def test_the_changelog_has_this_version():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(initguide.__version__)} \(", text, re.MULTILINE)


def test_the_licence_is_what_the_metadata_says():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License\n")
    assert PROJECT["license"] == "MIT"
    assert PROJECT["authors"][0]["name"] in text
