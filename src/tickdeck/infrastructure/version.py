"""The version of this Tickdeck, with the commit that it was installed from."""

from __future__ import annotations

import re
from functools import cache
from importlib import metadata
from pathlib import Path

import msgspec

import tickdeck

__all__ = ["commit_of_checkout", "commit_of_install", "full_version"]

_SHOWN = 12  # digits of a commit
_HEX = re.compile(r"[0-9a-f]{40,64}")


@cache
def full_version() -> str:
    """``0.1.0+1f3a5b7c9d0e``: the version and the commit, if it is known: that of the checkout in which Tickdeck is
    installed for development, or the one that pip installed from a repository. It does not show whether files were
    changed since then; the digest of the code in a run's manifest does. Calls no other program.
    """
    commit = commit_of_checkout(Path(tickdeck.__file__).resolve().parents[2]) or commit_of_install()
    return f"{tickdeck.__version__}+{commit[:_SHOWN]}" if commit else tickdeck.__version__


def commit_of_checkout(root: Path) -> str:
    """The current commit of the Git checkout of Tickdeck in ``root``; empty if there is none or it cannot be read."""
    try:
        if 'name = "tickdeck"' not in (root / "pyproject.toml").read_text("utf-8"):
            return ""
        git = root / ".git"
        if git.is_file():  # a worktree: the file contains its location
            git = root / git.read_text("utf-8").removeprefix("gitdir:").strip()
        common = git / (git / "commondir").read_text("utf-8").strip() if (git / "commondir").is_file() else git
        head = (git / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref:"):
            return head if _HEX.fullmatch(head) else ""
        ref = head.removeprefix("ref:").strip()
        for place in (git / ref, common / ref):
            if place.is_file():
                commit = place.read_text("utf-8").strip()
                return commit if _HEX.fullmatch(commit) else ""
        packed = (common / "packed-refs").read_text("utf-8").splitlines()
        return next((line.partition(" ")[0] for line in packed if line.endswith(f" {ref}")), "")
    except (OSError, UnicodeDecodeError):
        return ""


def commit_of_install() -> str:
    """The commit from which pip installed Tickdeck (``pip install git+https://...``); empty if it was not."""
    try:
        noted = metadata.distribution("tickdeck").read_text("direct_url.json")
        return msgspec.json.decode(noted or "{}", type=_DirectUrl).vcs_info.commit_id
    except (metadata.PackageNotFoundError, OSError, msgspec.MsgspecError):
        return ""


class _VcsInfo(msgspec.Struct):
    commit_id: str = ""


class _DirectUrl(msgspec.Struct):
    """What the packaging standard records about a repository."""

    vcs_info: _VcsInfo = msgspec.field(default_factory=_VcsInfo)
