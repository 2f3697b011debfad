"""Which objects have a state that can be stored, and what belongs to it."""

from __future__ import annotations

import logging
import re
import sys
import types
import weakref
from collections.abc import Collection, Iterator, Mapping
from contextvars import Context, ContextVar
from datetime import timezone, tzinfo
from operator import attrgetter, itemgetter
from typing import Any

from tickdeck.application.state.attributes import Attributes
from tickdeck.errors import TickdeckError

__all__ = ["ForeignHandlerError", "Namespace", "Scope", "StateError", "is_plain_method"]

_OURS = ("tickdeck.domain.", "tickdeck.application.")
_FIXED = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.ModuleType,
    types.MethodWrapperType,
    type,
    property,
    staticmethod,
    classmethod,
    weakref.ref,
    logging.Logger,
    re.Pattern,
    attrgetter,
    itemgetter,
    tzinfo,
    timezone,
    Context,
    ContextVar,
)
"""Objects without a state of their own, which the code makes again. Closures and decimal contexts are stored apart."""
_KNOWN_MODULES = ("builtins", "collections", "decimal")
"""Whose classes a state may name, to call them without arguments: the defaults of a ``defaultdict``."""


class StateError(TickdeckError):
    """A state that cannot be stored or restored. The message names the place."""


class ForeignHandlerError(StateError):
    """A program has subscribed a handler of its own, which the run does not have when it is resumed."""


class Namespace:
    """The variables of a class, or the global variables of a module, as far as they are data."""

    def __init__(self, owner: type | dict[str, Any]) -> None:
        self._owner = owner
        self._variables: Mapping[str, Any] = vars(owner) if isinstance(owner, type) else owner

    def items(self) -> Iterator[tuple[str, Any]]:
        """The names and values, in order of definition."""
        for name, value in list(self._variables.items()):
            if not (name.startswith("__") or name == "_abc_impl" or _is_code(value)):
                yield name, value

    def set(self, name: str, value: Any) -> None:
        """Set a variable, if it is another object than now."""
        if self._variables.get(name) is value:
            return
        if isinstance(self._owner, type):
            setattr(self._owner, name, value)
        else:
            self._owner[name] = value


def _is_code(value: object) -> bool:
    """Whether a variable is part of the code: a function, a class, a descriptor, an import, a type hint."""
    cls = type(value)
    return (
        isinstance(value, type | types.ModuleType | types.BuiltinFunctionType | logging.Logger)
        or hasattr(cls, "__get__")
        or cls.__module__ in ("typing", "__future__", "typing_extensions")
        or cls.__module__.startswith("structlog")
        or isinstance(value, types.GenericAlias | types.UnionType)
    )


class Scope:
    """Says which classes belong to the run. ``classes``: those of its strategies' and signals' files, by module and
    name. ``packages``: beginnings of further modules whose objects are stored. ``outside``: classes of objects that a
    new process makes for itself, such as a tape. ``transient``: attributes that say something about the process and not
    about the run, by class."""

    def __init__(
        self,
        *,
        classes: Mapping[tuple[str, str], type] | None = None,
        packages: tuple[str, ...] = (),
        outside: tuple[type, ...] = (),
        transient: Mapping[type, Collection[str]] | None = None,
    ) -> None:
        self._classes = dict(classes or {})
        self._names = {cls: name for name, cls in self._classes.items()}
        self._packages = (*_OURS, *packages)
        self._outside = outside
        self._transient = dict(transient or {})
        self._skipped: dict[type, frozenset[str]] = {}
        self._attributes = Attributes()

    def is_inside(self, cls: type) -> bool:
        """Whether objects of ``cls`` are stored attribute by attribute."""
        own = cls.__module__.startswith(self._packages) or cls in self._names
        return own and not issubclass(cls, self._outside)

    def is_outside(self, value: object) -> bool:
        """Whether a new process has its own object in the place of ``value``."""
        return isinstance(value, self._outside)

    def is_fixed(self, value: object) -> bool:
        """Whether ``value`` has no state, or none that this process may change."""
        return isinstance(value, _FIXED) or self.is_outside(value) or type(value).__module__.startswith("structlog")

    def attributes(self, value: object) -> list[tuple[str, Any]]:
        """The names and values of the attributes that are state, in an order that only depends on them."""
        attributes, skipped = self._attributes.of(value), self.skipped(type(value))
        return [each for each in attributes if each[0] not in skipped] if skipped else attributes

    def names_of_slots(self, cls: type) -> list[str] | None:
        """The names of the attributes that are state, if each object of ``cls`` has these and no others, in the order
        of ``attributes``."""
        names, skipped = self._attributes.names_of_slots(cls), self.skipped(cls)
        return None if names is None else [name for name in names if name not in skipped]

    def skipped(self, cls: type) -> frozenset[str]:
        """The attributes of ``cls`` that are no state."""
        found = self._skipped.get(cls)
        if found is None:
            names = [name for base in cls.__mro__ for name in self._transient.get(base, ())]
            found = self._skipped[cls] = frozenset(names)
        return found

    def class_named(self, module: str, name: str) -> type:
        """The class that a state names. Only loaded modules of the run are searched. Raises ``StateError``."""
        if (module, name) in self._classes:
            return self._classes[module, name]
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        if not isinstance(found, type) or not (self.is_inside(found) or module in _KNOWN_MODULES):
            raise StateError(f"there is no class {module}.{name} in this run")
        return found

    def name_of(self, cls: type) -> tuple[str, str]:
        """The module and the name by which ``class_named`` finds ``cls``. Raises ``StateError`` if it does not."""
        module, name = self._names.get(cls) or (cls.__module__, cls.__qualname__)
        if self.class_named(module, name) is not cls:
            raise StateError(f"{module}.{name} is another class")
        return module, name


def is_plain_method(value: object) -> bool:
    """Whether ``value`` is a method of an object, in Python or built in."""
    if isinstance(value, types.MethodType):
        return True
    return (
        isinstance(value, types.BuiltinFunctionType)
        and value.__self__ is not None
        and not isinstance(value.__self__, types.ModuleType | type)
    )
