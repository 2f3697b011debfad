"""Triggers in the configuration of a run."""

from __future__ import annotations

import re

import msgspec

from tickdeck.application.engines import TriggerWish
from tickdeck.errors import ConfigError, format_value

__all__ = ["TriggerConfig"]


class TriggerConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A trigger of a run: what ``name`` watches (``when``), and what follows (``then``).

    With ``once`` it fires at most once; otherwise each time that the condition begins to hold, but not within ``every``
    (a duration) of the last time. ``expires`` is a time (ISO 8601) or a duration since the start of the run.
    ``account``: the account that both are about, if the run has several; by default all.
    """

    name: str
    when: str
    then: str
    once: bool = True
    every: str = ""
    expires: str = ""
    account: str = ""

    def __post_init__(self) -> None:
        mistakes = []
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", self.name):
            mistakes.append(
                f"name is {format_value(self.name)}; use letters, digits, '-' and '_', beginning with a letter"
            )
        try:
            self.as_wish().settings(0)
        except ConfigError as error:
            mistakes += error.lines
        if mistakes:
            raise ConfigError.of(mistakes)

    def as_wish(self) -> TriggerWish:
        """The same for the engine."""
        return TriggerWish(**{name: getattr(self, name) for name in TriggerWish.__struct_fields__})
