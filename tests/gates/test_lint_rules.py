"""Gate 5: `make check` refuses a core that imports outward, reads a clock, or depends on the order of a set.

Each test adds one violation to a copy of the source and runs `make check-...` in the copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("check-style", "check-imports", "check-core")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("pristine") / "tree"
    for name in ("src", "tools"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "Makefile"):
        shutil.copy2(ROOT / name, copy / name)
    return copy


@pytest.fixture
def tree(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "tree"))


def make(tree: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    """The copy's `make` with the venv that runs this test; ``-o`` keeps it from installing anything there."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("COVERAGE", "MAKE", "MFLAGS"))}
    command = ["make", *targets, f"VENV={sys.prefix}", "-o", f"{sys.prefix}/.installed"]
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=300, check=False)


def plant(tree: Path, path: str, code: str) -> None:
    (tree / "src/tickdeck" / path).write_text(f'"""Planted."""\n\nfrom __future__ import annotations\n\n{code}')


def dotted(path: str) -> str:
    return f"tickdeck.{path.removesuffix('.py').replace('/', '.')}"


def refusal(tree: Path, target: str) -> str:
    """The output of the target, which must have failed."""
    done = make(tree, target)
    said = done.stdout + done.stderr
    assert done.returncode != 0, f"{target} let it pass:\n{said}"
    return said


def test_the_source_as_it_stands_passes(tree: Path) -> None:
    done = make(tree, *LAYERS)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_source_as_it_stands_passes_the_whole_check(tree: Path) -> None:
    done = make(tree, "check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("path", "imported"),
    [
        ("domain/planted.py", "tickdeck.infrastructure"),
        ("domain/planted.py", "tickdeck.application.ports"),
        ("application/planted.py", "tickdeck.infrastructure"),
        ("infrastructure/planted.py", "tickdeck.interfaces"),
    ],
)
def test_an_import_that_points_outward_is_refused(tree: Path, path: str, imported: str) -> None:
    plant(tree, path, f"import {imported}\n")
    said = refusal(tree, "check-imports")
    assert f"{dotted(path)} -> {imported}" in said


@pytest.mark.parametrize(
    ("path", "imported"), [("domain/planted.py", "asyncio"), ("domain/planted.py", "google.protobuf"),
                           ("application/planted.py", "sqlite3"), ("application/planted.py", "socket")]
)  # fmt: skip
def test_io_in_the_core_is_refused(tree: Path, path: str, imported: str) -> None:
    plant(tree, path, f"import {imported}\n")
    said = refusal(tree, "check-imports")
    assert f"{dotted(path)} -> {imported.partition('.')[0]}" in said


CLOCKS_AND_CHANCE = {
    "the clock of time": ("clock", "import time\n\nNOW = time.time_ns()\n"),
    "the clock under another name": ("clock", "from time import monotonic as now\n\nNOW = now()\n"),
    "the clock of datetime": ("clock", "from datetime import UTC, datetime\n\nNOW = datetime.now(UTC)\n"),
    "the global random": ("random", "import random\n\nVALUE = random.random()\n"),
    "a random uuid": ("random", "from uuid import uuid4\n\nVALUE = uuid4()\n"),
}


@pytest.mark.parametrize("layer", ["domain", "application"])
@pytest.mark.parametrize(("rule", "code"), CLOCKS_AND_CHANCE.values(), ids=CLOCKS_AND_CHANCE)
def test_clocks_and_randomness_in_the_core_are_refused(tree: Path, layer: str, rule: str, code: str) -> None:
    plant(tree, f"{layer}/planted.py", code)
    for target, name in (("check-style", "TID251"), ("check-core", f"[{rule}]")):
        findings = [line for line in refusal(tree, target).splitlines() if f"{layer}/planted.py:" in line]
        assert any(name in line for line in findings), findings


@pytest.mark.parametrize("layer", ["domain", "application"])
def test_a_loop_over_a_set_in_the_core_is_refused(tree: Path, layer: str) -> None:
    plant(tree, f"{layer}/planted.py", "WAITING = {'a', 'b'}\nORDER = [name for name in WAITING]\n")
    said = refusal(tree, "check-core")
    assert f"src/tickdeck/{layer}/planted.py:6: loops over a set" in said
    assert "sorted(...)" in said


def test_the_edges_may_read_the_clock(tree: Path) -> None:
    plant(tree, "infrastructure/planted.py", "import time\n\nNOW = time.time_ns()\n")
    done = make(tree, *LAYERS)
    assert done.returncode == 0, done.stdout + done.stderr
