"""The topics of subscriptions, and suggestions for topics that cannot match."""

from __future__ import annotations

import re
import warnings
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TypeAlias

from tickdeck.application.arguments import level_outside
from tickdeck.domain.events import DomainEvent, catalogue_is_closed, event_types, iter_event_classes
from tickdeck.errors import ConfigError, TopicWarning

__all__ = ["Topic", "checked_topic", "checked_type"]

Topic: TypeAlias = type[DomainEvent] | str
"""An event class (including its subclasses), or a dotted type with wildcards: ``order.filled``, ``order.*``, ``*``."""

_WILDCARD = re.compile(r"[*?\[]")
_POSSIBLE = re.compile(r"[a-z0-9_.*?\[\]!-]+")
"""The characters of types and wildcards. A pattern with any other character matches nothing."""
_CLOSE = 0.8
"""The similarity at which one name counts as a typo of another: ``order.filed`` and ``order.filled`` have 0.96."""


def checked_topic(topic: Topic, call: str = "subscribe") -> Topic:
    """``topic`` in the form that a subscription keeps. Raises ``ConfigError`` if it is neither a class nor a type.
    Warns if it cannot match any event."""
    if isinstance(topic, str) and topic:
        return checked_type(topic, call)
    if isinstance(topic, type) and issubclass(topic, DomainEvent):
        return topic
    raise ConfigError(f"{call}: {topic!r} is not a topic; give an event class or a type such as 'order.*'")


def checked_type(pattern: str, call: str) -> str:
    """A dotted type or a wildcard in our spelling: ``order.canceled`` becomes ``order.cancelled``.

    Warns with ``TopicWarning`` if ``pattern`` can never match: it contains characters that no type has, it looks like a
    typo of a known type, or it is unknown and the catalogue is closed. Other unknown types may be defined later.
    """
    types = event_types()
    if _matches(pattern, types):
        return pattern
    ours = pattern.replace("canceled", "cancelled")
    if ours != pattern and _matches(ours, types):
        return ours
    likely = _likely(pattern, types)
    one_word = "." not in pattern and not _WILDCARD.search(pattern)
    if one_word or "" in pattern.split(".") or not _POSSIBLE.fullmatch(pattern):
        why = "no event has such a type (types are dotted and in lower case)"
    elif catalogue_is_closed():
        why = "no class has this type, and the catalogue is closed"
    elif likely:
        why = "no class has this type"
    else:
        return pattern
    hint = f"; did you mean {likely!r}?" if likely else "; `tickdeck events --catalogue` lists the types"
    warnings.warn(f"{call}: {pattern!r}: {why}{hint}", TopicWarning, stacklevel=level_outside())
    return pattern


def _matches(pattern: str, types: list[str]) -> bool:
    return pattern in types or any(fnmatchcase(name, pattern) for name in types)


def _likely(pattern: str, types: list[str]) -> str:
    """The known type, or the wildcard of a known family, of which ``pattern`` is a typo; empty if there is none."""
    cleaned = re.sub(r"[\s/:-]+", ".", pattern.strip().lower())
    for guess in (cleaned, f"{cleaned}.*", *_type_of_class(pattern)):
        if _matches(guess, types):
            return guess
    families = sorted({name.split(".")[0] + ".*" for name in types})
    found = get_close_matches(cleaned, families if _WILDCARD.search(cleaned) else types, n=1, cutoff=_CLOSE)
    return found[0] if found else ""


def _type_of_class(name: str) -> list[str]:
    return [
        cls.event_type for cls in iter_event_classes() if name in (cls.__name__, cls.__name__.removesuffix("Event"))
    ]
