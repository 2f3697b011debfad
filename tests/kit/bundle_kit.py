"""A run to bundle, and what a test does to a bundle."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

MINE = """
from decimal import Decimal
from tickdeck import CandleEvent, Strategy


class Mine(Strategy):
    api_key: str = ""
    password: int = 0
    token: list[str] = []
    window: int = 7

    def on_start(self) -> None:
        self.candles = 0

    def on_candle(self, candle: CandleEvent) -> None:
        self.candles += 1
        if self.candles % self.window == 0:
            side = self.sell if self.position(candle.symbol).quantity > 0 else self.buy
            side(candle.symbol, Decimal("0.01"))
"""


def all_gone() -> None:
    """Nothing but zip files stays in the current folder: what a bundle needs is in it."""
    for path in Path.cwd().iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.suffix != ".zip":
            path.unlink()


def contents(bundle: str = "b.zip") -> dict[str, bytes]:
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(change: Callable[[dict[str, bytes], dict[str, Any]], None], bundle: str = "b.zip", **options: Any) -> None:
    """Make the bundle anew with other files, or another ``bundle.json``."""
    files = contents(bundle)
    told = json.loads(files.pop("bundle.json"))
    change(files, told)
    with zipfile.ZipFile(bundle, "w", **options) as archive:
        for name, data in (files | {"bundle.json": json.dumps(told).encode()}).items():
            archive.writestr(name, data)


def refused(result) -> str:
    """The one line that a wrong call ends with."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr
