"""One digest over a strategy's source: its file and the neighbouring modules that it imports."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Iterator
from pathlib import Path

from tickdeck.application.parameters import Parametrised

__all__ = ["source_digest", "source_files"]


def source_digest(cls: type[Parametrised]) -> str:
    """SHA-256 of the code that defines the class. A run is only resumed and verified with the same code.

    It covers the class's file and the modules that it imports, directly or indirectly, from its own folder or package.
    Installed libraries are not covered. Empty if there is no file.
    """
    files = source_files(cls)
    if not files:
        return ""
    if len(files) == 1:
        return hashlib.sha256(files[0].read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def source_files(cls: type[Parametrised]) -> list[Path]:
    """The files that the digest covers: the class's file, then its modules in order of discovery."""
    try:
        source = inspect.getsourcefile(cls)
    except TypeError:
        source = None
    if not source or not Path(source).is_file():
        return []
    return _with_imports(Path(source).resolve(), cls.__module__)


def _with_imports(main: Path, module: str) -> list[Path]:
    """``main`` and its own modules: main first, the others in order of discovery."""
    package, dot, _ = module.partition(".")
    if package == "tickdeck":
        return [main]  # the run's manifest has a digest of Tickdeck itself
    root = main.parents[module.count(".")] if dot else main.parent
    found = {main: None}
    waiting = [main]
    while waiting:
        file = waiting.pop()
        for name in _imported(file, root):
            if dot and name.partition(".")[0] != package:
                continue  # an installed package has unrelated neighbours
            for place in _files_of(root, name):
                if place not in found:
                    found[place] = None
                    waiting.append(place)
    return list(found)


def _imported(file: Path, root: Path) -> Iterator[str]:
    """Dotted names that ``file`` imports; relative imports are resolved from ``root``."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ""
            if node.level:
                base = file.parents[node.level - 1]
                if not base.is_relative_to(root):
                    continue
                start = ".".join(base.relative_to(root).parts)
            name = ".".join(part for part in (start, node.module or "") if part)
            if name:
                yield name
            yield from (f"{name}.{alias.name}" if name else alias.name for alias in node.names)


def _files_of(root: Path, name: str) -> Iterator[Path]:
    """The files that are executed when ``name`` is imported: its packages' and its own."""
    place = root
    for part in name.split("."):
        place /= part
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                yield file
