"""Runs on disk: each has a folder with a manifest (synced before anything else) and a tape."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

import tickdeck
from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.runs.secrets import (
    Secrets,
    read_secrets,
    restore_settings,
    split,
    split_settings,
    write_secrets,
)
from tickdeck.infrastructure.tape.opening import IN_A_RUN, open_tape, tape_path
from tickdeck.infrastructure.tape.sync import replace_file, sync
from tickdeck.infrastructure.temporary_folder import temporary_folder

__all__ = [
    "TRADES",
    "InputRecord",
    "Manifest",
    "StrategyRecord",
    "code_digest",
    "create_run",
    "discard_run",
    "find_run",
    "has_manifest",
    "list_runs",
    "read_manifest",
    "run_folders",
    "settings_of",
    "without_manifest",
    "without_secrets",
]

MANIFEST = "manifest.json"
TRADES = "trades.db"
"""The trade journal of a run that keeps it as a file. It can always be made again from the tape."""
PAPER = "paper"
"""The ``exchange`` of runs without a real venue: their market data comes from files or is simulated."""
_RUN_ID = re.compile(r"[A-Za-z0-9_-]+")


class InputRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An input file as the run read it: absolute ``path``, ``format``, ``symbol`` (if it had to be given) and SHA-256.
    Times before ``earliest`` or after ``latest`` (ns UTC) are errors; ``None`` means the default bounds."""

    path: str
    format: str
    symbol: str | None
    sha256: str
    earliest: int | None = None
    latest: int | None = None


class StrategyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy or a user's signal as the run loaded it: its id, spec, parameters, and the SHA-256 of its source."""

    strategy_id: str
    spec: str
    parameters: dict[str, Any]
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a run depends on. ``nonce`` makes its ids unique across runs; ``config`` is the complete configuration
    without secrets.

    ``created_at`` is wall time (ISO 8601, UTC) for people; nothing in the run depends on it. ``whatif_of`` is set for a
    what-if: the id of the run whose session it repeats with other settings.
    """

    format: int = 1
    run_id: str
    nonce: str
    created_at: str
    tickdeck: str
    code: str
    python: str
    machine: str
    symbols: tuple[str, ...]
    config: dict[str, Any]
    inputs: tuple[InputRecord, ...] = ()
    strategies: tuple[StrategyRecord, ...] = ()
    signals: tuple[StrategyRecord, ...] = ()
    whatif_of: str | None = None

    @property
    def is_live(self) -> bool:
        """The market data came from a venue, and the run's folder holds its frames."""
        exchange: str = self.config.get("exchange", PAPER)
        return exchange != PAPER

    @property
    def market_is_elsewhere(self) -> bool:
        """The market data is not on the tape, but in files or in frames."""
        return bool(self.inputs) or self.is_live


def here() -> tuple[str, str]:
    """Python's minor version and the machine's architecture. A proof is valid within this scope."""
    return ".".join(platform.python_version_tuple()[:2]), platform.machine()


def code_digest() -> str:
    """SHA-256 over the source files of this Tickdeck that determine a run's events: domain, application, exchanges,
    readers, and the code that connects them."""
    root = Path(tickdeck.__file__).resolve().parent
    digest = hashlib.sha256()
    sources = [root / "infrastructure" / "config.py", root / "infrastructure" / "runs" / "inputs.py"]
    for folder in ("bootstrap", "domain", "application", "infrastructure/exchanges", "infrastructure/readers"):
        sources += sorted((root / folder).rglob("*.py"))
    for path in sources:
        digest.update(path.relative_to(root).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def create_run(data_dir: Path, manifest: Manifest, secrets: Secrets | None = None, tape_format: str = "sqlite") -> Path:
    """Create the run's folder and manifest, both synced and readable by the user only, and an empty tape. Secret
    parameters go to a separate file. The folder appears with all of that or not at all, even if the process is killed
    meanwhile: a run without a tape has lost it. Returns the absolute path. Raises ``RunError`` if that fails."""
    folder = data_dir / manifest.run_id
    existed = next((parent for parent in folder.absolute().parents if parent.is_dir()), folder.absolute())
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with temporary_folder(data_dir) as place:
            made = place / manifest.run_id
            made.mkdir()
            write_secrets(made, secrets or {})
            content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
            replace_file(made / MANIFEST, content, durable=True, mode=0o600)
            open_tape(tape_path(made, tape_format), tape_format).close()
            if folder.exists():
                raise RunError(
                    f"there is a run {manifest.run_id} under {data_dir} already; give another --name, or continue it "
                    "with --resume-or-start"
                )
            made.rename(folder)
        place = folder.absolute().parent
        while place != existed.parent:  # sync the parent of each folder that was created, because it holds the name
            sync(place)
            place = place.parent
    except OSError as error:
        raise RunError(
            f"cannot create the run's folder {folder}: {error.strerror}; choose another with --data"
        ) from None
    except TapeError as error:  # of its tape, or what syncing raises
        raise RunError(f"cannot create the run's folder {folder}: {error}") from None
    return folder.absolute()  # a strategy may change the working directory


def read_manifest(folder: Path) -> Manifest:
    """Read a run's manifest. Raises ``RunError`` if the folder has none that this version understands."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunError(f"{folder} is not a run: {path.name}: {error.strerror}") from None
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise RunError(f"{path}: {error}; the manifest was changed, or it is another file") from None
    if manifest.format > Manifest.__struct_defaults__[0]:
        raise RunError(f"{path}: format {manifest.format} is newer than this Tickdeck; update it to read this run")
    return manifest


def without_secrets(manifest: Manifest) -> tuple[Manifest, Secrets]:
    """The manifest as it is written, and the secret parameters of its strategies and signals."""
    config, secrets = split_settings(manifest.config)
    strategies, signals = (
        tuple(replace(record, parameters=split(record.parameters).public) for record in records)
        for records in (manifest.strategies, manifest.signals)
    )
    return replace(manifest, config=config, strategies=strategies, signals=signals), secrets


def settings_of(folder: Path, manifest: Manifest) -> dict[str, Any]:
    """The run's complete configuration, including secret parameters if its ``folder`` has them. Use it to execute the
    strategies; never show it."""
    return restore_settings(manifest.config, read_secrets(folder))


def discard_run(folder: Path) -> None:
    """Remove the folder of a run that never began."""
    shutil.rmtree(folder)


def run_folders(data_dir: Path) -> list[Path]:
    """The folders under ``data_dir`` that have a manifest, readable or not, by name. Raises ``RunError`` if
    ``data_dir`` cannot be read."""
    try:
        return sorted(folder for folder in data_dir.iterdir() if (folder / MANIFEST).is_file())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"cannot read {data_dir}: {error.strerror}; name another folder with --data") from None


def without_manifest(data_dir: Path) -> list[str]:
    """What must be known about the folders under ``data_dir`` that have the tape of a run, but no manifest, without
    which nobody can continue or read it: one line for each."""
    try:
        folders = sorted(data_dir.iterdir())
    except OSError:
        return []  # ``run_folders`` tells
    found = []
    for folder in folders:
        try:
            has_manifest(folder)
        except RunError as error:
            found.append(str(error))
    return found


def has_manifest(folder: Path) -> bool:
    """Whether ``folder`` is that of a run. Raises ``RunError`` if it has the tape of a run, but no manifest."""
    try:
        if (folder / MANIFEST).is_file():
            return True
        has_tape = any((folder / name).exists() for name in IN_A_RUN.values())
    except OSError:  # it is not ours to read
        return False
    if has_tape:
        raise RunError(f"run {folder.name} has a tape, but no {MANIFEST} in {folder}; restore the file from a copy")
    return False


def list_runs(data_dir: Path) -> list[Path]:
    """The folders of all runs under ``data_dir``, oldest first. Folders with a damaged manifest are skipped."""
    dated: list[tuple[str, str, Path]] = []
    for folder in run_folders(data_dir):
        with contextlib.suppress(RunError):
            manifest = read_manifest(folder)
            dated.append((manifest.created_at, manifest.run_id, folder))
    return [folder for _, _, folder in sorted(dated)]


def renamed_run(data_dir: Path, run_id: str) -> Path | None:
    """The folder under ``data_dir`` that has the run ``run_id`` under another name, as somebody renamed it; ``None`` if
    there is none. Raises ``RunError`` if there are several: which of the copies went on last cannot be known."""
    found = [folder for folder in list_runs(data_dir) if read_manifest(folder).run_id == run_id != folder.name]
    if len(found) > 1:
        names = ", ".join(folder.name for folder in found)
        raise RunError(f"several folders under {data_dir} have the run {run_id}: {names}; name the one that you mean")
    return found[0] if found else None


def find_run(data_dir: Path, run: str, *, renamed: bool = True) -> Path:
    """The folder of ``run``: an id under ``data_dir``, also if its folder has another name by now, a path to a folder,
    or ``last``. Raises ``RunError`` if there is none, or several copies under other names. Without ``renamed``, also
    for a folder with another name: it may be a copy that somebody wants to keep."""
    if run == "last":
        runs = list_runs(data_dir)
        if not runs:
            raise RunError(
                f"there are no runs under {data_dir} yet; start one with `tickdeck run`, or name the folder with --data"
            )
        return runs[-1]
    for folder in (data_dir / run if _RUN_ID.fullmatch(run) else None, Path(run)):
        if folder is not None and has_manifest(folder):
            return folder
    other = renamed_run(data_dir, run)
    if other is not None and not renamed:
        raise RunError(f"the folder {other} has the run {run}; name {other.name} if you mean it, as it may be a copy")
    if other is not None:
        return other
    raise RunError(f"there is no run {run!r} under {data_dir}; `tickdeck runs` lists them")
