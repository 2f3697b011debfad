"""The commit that Tickdeck was installed from, found without calling Git."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

import tickdeck
from tickdeck.infrastructure.version import commit_of_checkout, commit_of_install, full_version


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "tickdeck"\n')
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    return root


def test_the_commit_of_a_checkout_is_found_on_a_branch_packed_detached_and_in_a_worktree(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    found = [commit_of_checkout(checkout)]
    git(checkout, "pack-refs", "--all")
    found.append(commit_of_checkout(checkout))
    git(checkout, "worktree", "add", "-q", "-b", "other", str(checkout.parent / "tree"))
    found.append(commit_of_checkout(checkout.parent / "tree"))
    git(checkout, "checkout", "-q", "--detach")
    found.append(commit_of_checkout(checkout))

    assert found == [head] * 4


def test_no_commit_is_made_up(checkout: Path, tmp_path: Path) -> None:
    assert commit_of_checkout(tmp_path) == ""
    (checkout / ".git" / "HEAD").write_text("ref: refs/heads/none")
    assert commit_of_checkout(checkout) == ""
    (checkout / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert commit_of_checkout(checkout) == ""
    (checkout / "pyproject.toml").write_text('[project]\nname = "other"\n')  # Tickdeck was copied into another project
    assert commit_of_checkout(checkout) == ""


@pytest.mark.parametrize(
    ("noted", "commit"),
    [
        (json.dumps({"url": "https://x", "vcs_info": {"vcs": "git", "commit_id": "ab" * 20}}), "ab" * 20),
        (json.dumps({"url": "file:///x", "dir_info": {"editable": True}}), ""),
        ("not JSON", ""),
        (None, ""),
    ],
)
def test_the_commit_of_an_installed_package_is_what_pip_noted(
    monkeypatch: pytest.MonkeyPatch, noted: str | None, commit: str
) -> None:
    class Distribution:
        def read_text(self, name: str) -> str | None:
            assert name == "direct_url.json"
            return noted

    monkeypatch.setattr(metadata, "distribution", lambda name: Distribution())

    assert commit_of_install() == commit


def test_the_full_version_begins_with_the_version() -> None:
    assert full_version().partition("+")[0] == tickdeck.__version__
