"""The program on the page about proving a bus runs, and so do the commands on that page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "proving-a-bus.md").read_text("utf-8")


def test_the_program_of_the_page_is_proven_by_its_commands(tmp_path: Path) -> None:
    programs = re.findall(r"^```py\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    names = re.findall(r"save this as `(\w+\.py)`", PAGE, re.IGNORECASE)
    for name, program in zip(names, programs, strict=True):
        (tmp_path / name).write_text(program, "utf-8")
    commands = "".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE))
    script = "set -ex\npython main.py\n" + commands
    folder = Path(sys.executable).parent

    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert commands.count("tickdeck ") >= 8
    assert '"identical":true' in ran.stdout
