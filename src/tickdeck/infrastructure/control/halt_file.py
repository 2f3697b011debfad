"""The file ``HALT``: a run begins or continues halted while it exists."""

from __future__ import annotations

from pathlib import Path

from tickdeck.domain.events import CommandReceived
from tickdeck.errors import RunError
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = ["lift_halt", "order_halt", "ordered_halt"]

_HALT = "HALT"
_CANCELS = "orders: cancel"  # as the last line


def order_halt(folder: Path, reason: str, *, cancels: bool = False) -> Path:
    """Write the file for the run in ``folder``, synced. Its content is the reason. ``cancels``: the run also cancels
    its open orders, except stops and targets. Raises ``RunError``."""
    path = folder / _HALT
    lines = (reason, _CANCELS) if cancels else (reason,)
    try:
        replace_file(path, "".join(f"{line}\n" for line in lines).encode(errors="replace"), durable=True)
    except OSError as error:
        raise RunError(f"{path}: cannot write it: {error.strerror}") from None
    return path


def ordered_halt(folder: Path, *, beside: bool = False) -> CommandReceived | None:
    """The command with which the run in ``folder`` must begin or continue, if it must. With ``beside``, the file also
    counts in the folder of all runs, so that ``touch`` stops everything. A file that cannot be read counts."""
    for path in (folder / _HALT, *([folder.parent / _HALT] if beside else ())):
        try:
            said = path.read_bytes()[:1_000].decode(errors="replace").strip()
        except FileNotFoundError:
            continue
        except OSError as error:
            said = f"{path} cannot be read: {error.strerror}"
        reason = said.removesuffix(_CANCELS).strip()
        arguments = {"orders": "cancel"} if reason != said else {}
        reason = reason or f"there is a file {_HALT}"
        who = {"who": f"the file {_HALT}"}
        return CommandReceived(command="halt", arguments=arguments, reason=reason, source="control", metadata=who)
    return None


def lift_halt(folder: Path) -> bool:
    """Remove the file from the run's folder. Returns whether there was one. Raises ``RunError``."""
    path = folder / _HALT
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunError(f"{path}: cannot remove it: {error.strerror}") from None
    return True
