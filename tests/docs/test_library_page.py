"""The program on the page for library users runs unchanged, and so do its tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text("utf-8")


def save_files(folder: Path) -> None:
    files = re.findall(r"^```(?:py|ini)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names = re.findall(r"save this as `(\w+\.\w+)`", PAGE, re.IGNORECASE)
    assert names == ["app.py", "pytest.ini", "test_app.py"]
    for name, content in zip(names, files, strict=True):
        (folder / name).write_text(content, "utf-8")


def test_the_files_of_the_page_pass_their_tests(tmp_path: Path) -> None:
    save_files(tmp_path)

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_commands_of_the_page_show_what_was_sold(tmp_path: Path) -> None:
    save_files(tmp_path)
    paths = re.findall(r"^curl -X POST localhost:8000(\S+)$", PAGE, re.MULTILINE)
    commands = re.findall(r"^tickdeck .*$", PAGE, re.MULTILINE)
    sell = (
        "from app import app\n"
        "from fastapi.testclient import TestClient\n"
        f"with TestClient(app) as client: print([client.post(path).status_code for path in {paths!r}])\n"
    )
    folder = Path(sys.executable).parent
    (tmp_path / "sell.py").write_text(sell)

    ran = subprocess.run(
        ["bash", "-ec", "\n".join(["python sell.py", *commands])],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "[200, 200, 200]" in ran.stdout
    assert "3-1 shop.stock_low item=tea left=2" in ran.stdout
