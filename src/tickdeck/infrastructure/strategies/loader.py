"""Loads the strategy class of ``--strategy SPEC``."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from tickdeck.application.parameters import Parametrised, named
from tickdeck.application.signals import Signal
from tickdeck.application.strategies import BUILT_IN, Strategy
from tickdeck.errors import ConfigError, Terminated, TickdeckError

__all__ = [
    "load_function",
    "load_in_place_of",
    "load_module",
    "load_signal_class",
    "load_strategy_class",
    "new_strategy",
    "strategy_name",
]

RULES = "rules"
"""The built-in strategy without code: its users know no class."""
_OTHERS = (TickdeckError, KeyboardInterrupt, Terminated, MemoryError)
"""Exceptions during loading that are not a mistake in the user's code."""
_HOW = "give 'package.module:Class' or 'path/to/file.py:Class'"


def load_strategy_class(spec: str) -> type[Strategy]:
    """The class that ``spec`` names: a built-in name, ``package.module:Class``, or ``path/to/file.py:Class``.

    Each call executes a file again, including the modules of its folder that it imports at the top, so their globals
    start fresh. The folder is on the import path only during loading. Raises a one-line ``ConfigError`` if the spec or
    the code behind it is wrong.
    """
    if spec in BUILT_IN:
        return BUILT_IN[spec]
    if ":" not in spec:
        built_in = ", ".join(sorted(BUILT_IN))
        raise ConfigError(f"strategy {spec!r} is not known; the built-in ones are {built_in}; for your own, {_HOW}")
    return _load_class(Strategy, spec)


def new_strategy(spec: str, parameters: Mapping[str, Any], name: str = "") -> Strategy:
    """A strategy of the class that ``spec`` names. Raises ``ConfigError`` like ``load_strategy_class``, and for its
    parameters; the messages call it ``name`` if it has one."""
    try:
        cls = load_strategy_class(spec)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}" if name else str(error)) from None
    try:
        return cls(**parameters)
    except ConfigError as error:
        if not name and spec != RULES:
            raise
        raise named(error, cls, name or RULES) from None


def load_signal_class(spec: str) -> type[Signal]:
    """The signal class that ``spec`` names: ``package.module:Class`` or ``path/to/file.py:Class``. Like
    ``load_strategy_class``."""
    return _load_class(Signal, spec)


P = TypeVar("P", bound=Parametrised)


def _load_class(base: type[P], spec: str) -> type[P]:
    what = f"{base.kind} {spec!r}"
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(f"{what} does not name a class; {_HOW}")
    module = _load_file(Path(place), what) if place.endswith(".py") else _import(place, what)
    found = getattr(module, name, None)
    if found is None:
        there = [n for n, v in vars(module).items() if inspect.isclass(v) and issubclass(v, base) and v is not base]
        has = ", ".join(sorted(there)) or f"no {base.__name__}"
        raise ConfigError(f"{what}: {place} has no class {name!r}; it has: {has}")
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ConfigError(f"{what}: {name} is not a subclass of tickdeck.{base.__name__}")
    return found


def load_module(place: str) -> ModuleType:
    """Import ``package.module`` or ``path/to/file.py``; the file gets the name that a neighbouring module would import.

    The file's folder stays on the import path. Raises a one-line ``ConfigError`` if it cannot be loaded.
    """
    name, path = place, None
    if place.endswith(".py"):
        path = Path(place).resolve()
        if not path.is_file():
            raise ConfigError(f"{place}: file not found; give a module or the path of a .py file")
        name = path.stem
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
    elif str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # `tickdeck` is a console script: the current folder is not on the path
    try:
        module = importlib.import_module(name)
    except _OTHERS:
        raise
    except BaseException as error:
        where = _where(error, path) if path is not None else f"{type(error).__name__}: {error}"
        raise ConfigError(f"cannot load {place}: {where}") from error
    if path is not None and Path(getattr(module, "__file__", None) or "").resolve() != path:
        raise ConfigError(f"{place}: another module is called {name!r}; rename the file")
    return module


def load_function(spec: str) -> Callable[..., Any]:
    """The function that ``package.module:function`` or ``path/to/file.py:function`` names. Raises ``ConfigError`` like
    ``load_module``."""
    place, colon, name = spec.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(
            f"{spec!r} does not name a function; give 'package.module:function' or 'path/to/file.py:function'"
        )
    found = getattr(load_module(place), name, None)
    if not callable(found):
        raise ConfigError(f"{spec!r}: {place} has no function {name!r}")
    return cast("Callable[..., Any]", found)


_originals: dict[Path, Path] = {}
"""Copies of strategy files, and the files whose modules they stand for."""


def load_in_place_of(copy: Path, original: Path) -> None:
    """Load ``copy`` under the module name of ``original`` from now on. Otherwise both would define the same event
    types, as classes of two modules, which one process refuses."""
    _originals[copy.resolve()] = original.resolve()


def _load_file(path: Path, what: str) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"{what}: there is no file {path}")
    # The name comes from the path, so that a class has the same name in every run; it cannot be imported by it.
    named = _originals.get(path.resolve(), path.resolve())
    module_name = f"tickdeck_strategy_{hashlib.sha256(str(named).encode()).hexdigest()[:12]}"
    found = importlib.util.spec_from_file_location(module_name, path)
    if found is None or found.loader is None:
        raise ConfigError(f"{what}: {path} is not a Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module
    try:
        with _importable(path.resolve().parent):
            found.loader.exec_module(module)
    except _OTHERS:
        raise
    except BaseException as error:
        raise ConfigError(f"{what}: cannot load {path}: {_where(error, path)}") from error
    return module


_siblings: set[str] = set()
"""Names of modules that strategy files imported from their own folders."""


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Make modules of ``folder`` importable, and import them again even if another load has imported them."""
    for name in _siblings:
        sys.modules.pop(name, None)
    _siblings.clear()
    importlib.invalidate_caches()
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if Path(file).parent == folder or (folder / name.partition(".")[0] / "__init__.py").is_file():
                _siblings.add(name)


def _import(name: str, what: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # `tickdeck` is a console script: the current folder is not on the path
    try:
        return importlib.import_module(name)
    except _OTHERS:
        raise
    except BaseException as error:
        raise ConfigError(f"{what}: cannot load module {name}: {type(error).__name__}: {error}") from error


def _where(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}" + (f" (line {error.lineno})" if error.lineno else "")
    line = None
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == str(path):
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return f"{type(error).__name__}: {error}" + (f" (line {line})" if line else "")


def strategy_name(spec: str) -> str:
    """The strategy's id in a run: the built-in name or the class name."""
    return spec if spec in BUILT_IN else spec.rpartition(":")[2]
