"""Reads the attributes of objects without slowing the objects down."""

from __future__ import annotations

import gc
import types
from collections.abc import Iterator
from operator import attrgetter
from typing import Any

import msgspec

from tickdeck.application.parameters import Parametrised

__all__ = ["Attributes"]

_SLOTS_THAT_ARE_NO_STATE = ("__dict__", "__weakref__")
_MISSING = object()


class Attributes:
    """Reads the attributes of objects, in an order that only depends on their names.

    CPython keeps the attributes of an object in a compact array until someone asks for its ``__dict__``: from then on,
    each access to them takes twice as long. So they are looked up by the names that the code of the class mentions. The
    garbage collector knows which values an object refers to: if these are not the values that were found, such as after
    an attribute was set by other code, the ``__dict__`` is read.
    """

    def __init__(self) -> None:
        self._slots: dict[type, list[str]] = {}
        self._all_slots: dict[type, attrgetter[tuple[Any, ...]]] = {}
        self._candidates: dict[type, dict[str, bool]] = {}
        self._newest: dict[type, dict[str, bool]] = {}
        """Those that the newest object of a class had."""

    def of(self, value: object) -> list[tuple[str, Any]]:
        """All attributes of an object, with their values."""
        if isinstance(value, msgspec.Struct):
            return [(name, getattr(value, name)) for name in type(value).__struct_fields__]
        cls = type(value)
        slots = self._slots.get(cls)
        if slots is None:
            slots = self._slots[cls] = list(_slots_of(cls))
            if len(slots) > 1 and not cls.__dictoffset__:
                self._all_slots[cls] = attrgetter(*slots)
        if cls in self._all_slots:
            try:
                return list(zip(slots, self._all_slots[cls](value), strict=True))
            except AttributeError:  # one of them is not set
                pass
        found = [(name, held) for name in slots if (held := getattr(value, name, _MISSING)) is not _MISSING]
        if cls.__dictoffset__:
            found += self._besides(value, cls, found)
        return found

    def names_of_slots(self, cls: type) -> list[str] | None:
        """The names of all attributes of the objects of ``cls``; ``None`` if they may have others."""
        if issubclass(cls, msgspec.Struct):
            return list(cls.__struct_fields__)
        return None if cls.__dictoffset__ else list(_slots_of(cls))

    def _besides(self, value: object, cls: type, in_slots: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
        """The attributes that have no slot."""
        there = _ids(gc.get_referents(value))
        known = [cls, *(held for _, held in in_slots)]
        if cls not in self._candidates:
            self._candidates[cls] = self._newest[cls] = _candidates(cls)
        for names in (self._newest[cls], self._candidates[cls]):
            found = _look_up(value, cls, names)
            if _ids([*known, *(held for _, held in found)]) == there:
                self._newest[cls] = {name: names[name] for name, _ in found}
                return found
        return sorted(getattr(value, "__dict__", {}).items())


def _ids(values: list[Any]) -> list[int]:
    return sorted(map(id, values))


def _look_up(value: object, cls: type, names: dict[str, bool]) -> list[tuple[str, Any]]:
    found = []
    for name, is_of_class in names.items():
        try:
            held = object.__getattribute__(value, name)
        except AttributeError:
            continue
        if not (is_of_class and held is getattr(cls, name, _MISSING)):
            found.append((name, held))
    return found


def _candidates(cls: type) -> dict[str, bool]:
    """The names of attributes that the code of a class mentions, and whether the class has a value for it: then it is
    not known whether an object has the same. Parameters are set for every object."""
    names: set[str] = set()
    of_class: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        of_class.update(vars(base))
        names.update(vars(base).get("__annotations__", ()))
        for member in vars(base).values():
            for function in _functions_of(member):
                names.update(_names_in(function.__code__))
    parameters = cls._parameters if issubclass(cls, Parametrised) else {}
    return {
        name: name in of_class and name not in parameters
        for name in sorted(names)
        if not hasattr(type(of_class.get(name)), "__get__")
    }


def _functions_of(member: object) -> Iterator[types.FunctionType]:
    if isinstance(member, property):
        parts: tuple[object, ...] = (member.fget, member.fset, member.fdel)
    else:
        parts = (getattr(member, "__func__", member),)
    for part in parts:
        while part is not None:
            if isinstance(part, types.FunctionType):
                yield part
            part = getattr(part, "__wrapped__", None)


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _names_in(part)


def _slots_of(cls: type) -> Iterator[str]:
    for base in cls.__mro__:
        slots = vars(base).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            if slot not in _SLOTS_THAT_ARE_NO_STATE:
                private = slot.startswith("__") and not slot.endswith("__")
                yield f"_{base.__name__.lstrip('_')}{slot}" if private else slot
