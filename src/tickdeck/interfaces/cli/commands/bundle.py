"""``tickdeck bundle``."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tickdeck.application.wording import counted
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import data_option, json_option, recorded_run, run_argument
from tickdeck.interfaces.cli.output import note, print_json

if TYPE_CHECKING:
    from tickdeck.infrastructure.bundles import Bundled

__all__ = ["bundle"]


@click.command()
@run_argument
@click.option("--out", type=click.Path(path_type=Path), metavar="F", help="The file to create; default: RUN's id.zip.")
@click.option("--without-inputs", is_flag=True, help="Leave out the input files; whoever verifies must have them.")
@data_option
@json_option("The bundle's contents as one JSON object")
def bundle(run: str, out: Path | None, without_inputs: bool, data: Path, as_json: bool) -> int:
    """Pack RUN into one zip file that anyone can verify: tape, manifest, logs, input files and the source code of its
    strategies.

    Values in the configuration whose key suggests a secret (api_key, secret, password, token, ...) are left out.
    Secrets in source files are not detected. Existing files are never overwritten.

    \b
    Examples:
      tickdeck bundle last
      tickdeck bundle 20240808-120000-3f2a --out strange.zip --without-inputs
      tickdeck verify strange.zip
    """
    from tickdeck.infrastructure.bundles import pack

    folder = recorded_run(data, run)
    place = out if out is not None else Path(f"{folder.resolve().name}.zip")
    with contextlib.redirect_stdout(sys.stderr):  # what strategies print while they load
        done = pack(folder, place, inputs=not without_inputs)
    if as_json:
        print_json(done)
    else:
        _print(done)
    for text in done.notes:
        note(text)
    return DONE


def _print(done: Bundled) -> None:
    click.echo(f"run {done.run}: {counted(done.files, 'file')}, {_size(done.bytes)} packed")
    if done.input_bytes:
        click.echo(f"  input files: {_size(done.input_bytes)} unpacked; --without-inputs leaves them out")
    click.echo(f"file  {done.out}")
    click.echo(f"next  tickdeck verify {done.out}")


def _size(count: int) -> str:
    size = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
