"""The modules of strategies and signals as they are loaded: their global variables and their classes."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from tickdeck.application.parameters import Parametrised
from tickdeck.infrastructure.strategies.source import source_files

__all__ = ["classes_in", "modules_of"]


def modules_of(users: Sequence[type[Parametrised]]) -> dict[str, dict[str, Any]]:
    """The global variables of the modules that define ``users``, and of the neighbours that these import, by the name
    of the module. A file is executed once for each strategy that it defines, so there may be several modules of one
    name; the key of a later one ends with its number. Modules of Tickdeck are left out."""
    found: dict[int, dict[str, Any]] = {}
    for cls in users:
        if cls.__module__.startswith("tickdeck."):
            continue
        files = {str(file) for file in source_files(cls)}
        waiting = deque(_globals_of(base) for base in cls.__mro__)
        while waiting:
            module = waiting.popleft()
            if id(module) in found or not _is_of(module, files):
                continue
            found[id(module)] = module
            waiting.extend(_globals_of(value) for value in list(module.values()))
    named: dict[str, dict[str, Any]] = {}
    for module in found.values():
        name, number = module["__name__"], 1
        token = name
        while token in named:
            number += 1
            token = f"{name}#{number}"
        named[token] = module
    return named


def classes_in(module: dict[str, Any]) -> Iterator[type]:
    """The classes that a module defines, and those within them."""
    waiting = deque(module.values())
    seen = set()
    while waiting:
        value = waiting.popleft()
        if isinstance(value, type) and value.__module__ == module["__name__"] and value not in seen:
            seen.add(value)
            yield value
            waiting.extend(vars(value).values())


def _is_of(module: dict[str, Any], files: set[str]) -> bool:
    file = module.get("__file__")
    return isinstance(file, str) and str(Path(file).resolve()) in files


def _globals_of(value: object) -> dict[str, Any]:
    """The global variables of the module that defines ``value``; empty if this is not known."""
    if isinstance(value, ModuleType):
        return vars(value)
    if isinstance(value, FunctionType):
        return value.__globals__
    if not isinstance(value, type):
        return {}
    for member in vars(value).values():
        function = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
        if isinstance(function, FunctionType) and function.__module__ == value.__module__:
            return function.__globals__
    module = sys.modules.get(value.__module__)
    return vars(module) if getattr(module, value.__name__, None) is value else {}
