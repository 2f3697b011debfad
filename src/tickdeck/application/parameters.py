"""Parameters of strategies and signals: annotated attributes with defaults, set by name and checked by type."""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Mapping
from copy import deepcopy
from decimal import Decimal
from difflib import get_close_matches
from enum import Enum
from typing import Any, ClassVar, get_origin, get_type_hints

import msgspec

from tickdeck.application.arguments import level_outside
from tickdeck.application.redaction import REDACTED, is_secret, remember_secrets
from tickdeck.application.units import share_of
from tickdeck.application.wording import in_words
from tickdeck.errors import ConfigError, TopicWarning, format_value

__all__ = ["Parametrised", "named"]


class Parametrised:
    """A class whose annotated attributes with defaults are parameters. Messages call it ``kind``.

    Methods whose names begin with ``on_`` must be plain functions; otherwise defining the class raises ``ConfigError``.
    A misspelled name causes a warning.
    """

    kind: ClassVar[str] = "class"
    _parameters: ClassVar[dict[str, Any]] = {}

    def __init__(self, **parameters: Any) -> None:
        """Raises ``ConfigError`` for a parameter that the class does not have, or a value of the wrong type."""
        for name in self._parameters:
            setattr(self, name, deepcopy(getattr(type(self), name)))  # two runs must not share a list
        self.set_parameters(parameters)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            method = getattr(cls, name)
            if name.startswith("on_") and (inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)):
                raise ConfigError(
                    f"{cls.kind} {cls.__name__}: {name} is async; a {cls.kind}'s methods are plain functions"
                )
            if name.startswith("on_") and inspect.isgeneratorfunction(method):
                raise ConfigError(
                    f"{cls.kind} {cls.__name__}: {name} contains a yield, so calling it would not run it; remove it"
                )
        cls._warn_of_misspelled_methods()
        try:
            hints = get_type_hints(cls)
        except NameError as error:
            raise ConfigError(f"{cls.kind} {cls.__name__}: {error}; import the types in its annotations") from None
        cls._parameters = {
            name: hint
            for name, hint in hints.items()
            if not name.startswith("_") and hasattr(cls, name) and ClassVar not in (hint, get_origin(hint))
        }

    @classmethod
    def _warn_of_misspelled_methods(cls) -> None:
        """Warn (``TopicWarning``) if a class has ``on_trades`` instead of ``on_trade``, because nothing would ever call
        it.
        """
        called = {name for base in cls.__mro__ if base.__module__.startswith("tickdeck.") for name in vars(base)}
        called = {name for name in called if name.startswith("on_")}
        for name in vars(cls):
            if not name.startswith("on_") or name in called:
                continue
            close = get_close_matches(name, sorted(called), n=1, cutoff=0.85)
            if close and close[0] not in vars(cls):
                warnings.warn(
                    f"{cls.kind} {cls.__name__}: nothing calls {name}; did you mean {close[0]}?",
                    TopicWarning,
                    stacklevel=level_outside(),
                )

    def parameters(self) -> dict[str, Any]:
        """The parameters and their values."""
        return {name: getattr(self, name) for name in self._parameters}

    def set_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Change parameters: all of the given ones, or none.

        Raises ``ConfigError`` for a parameter that the class does not have, for a value of the wrong type, and if
        ``check_parameters`` refuses.
        """
        hints = self._parameters
        values: dict[str, Any] = {}
        mistakes: list[str] = []
        for name, value in parameters.items():
            if name not in hints:
                known = ", ".join(sorted(hints)) or "none"
                mistakes.append(f"{self.kind} {type(self).__name__} has no parameter {name!r}; it has: {known}")
                continue
            try:
                values[name] = _converted(value, hints[name])
            except (TypeError, ValueError) as error:
                wanted = in_words(str(error))
                shown = REDACTED if is_secret(name) else format_value(value)
                mistakes.append(f"{self.kind} {type(self).__name__}: parameter {name}={shown}: {wanted}")
        before = {name: getattr(self, name) for name in values}
        for name, value in values.items():
            if not mistakes:
                remember_secrets(value, name)
            setattr(self, name, value)
        try:
            if mistakes:
                self._check_besides(frozenset(parameters) - frozenset(values))
            else:
                self.check_parameters()
        except ConfigError as error:
            found = error.lines
            mistakes += [f"{self.kind} {type(self).__name__}: {mistake}" for mistake in found]
        if mistakes:
            for name, value in before.items():
                setattr(self, name, value)
            raise ConfigError.of(mistakes)

    def check_parameters(self) -> None:
        """Raise ``ConfigError`` if the parameters make no sense together. Called whenever parameters are set."""

    def _check_besides(self, wrong: frozenset[str]) -> None:
        """Raise ``ConfigError`` for what is wrong besides the parameters ``wrong``, whose values cannot be read. Most
        classes cannot tell, because they check their parameters together."""


def named(error: ConfigError, cls: type[Parametrised], name: str) -> ConfigError:
    """``error`` with the name that the user gave instead of that of the class."""
    head = f"{cls.kind} {cls.__name__}"
    return ConfigError.of(
        [
            f"{cls.kind} {name}{mistake.removeprefix(head)}"
            if mistake.startswith((f"{head}:", f"{head} "))
            else mistake
            for mistake in error.lines
        ]
    )


def _converted(value: Any, hint: Any) -> Any:
    """Convert a parameter to the type of its annotation; text, as from a command line, is parsed (``2%`` is 0.02).
    Raises ``ValueError``."""
    if isinstance(value, str) and value.rstrip().endswith("%") and hint in (Decimal, float):
        with contextlib.suppress(ConfigError):
            value = share_of(value)
            value = float(value) if hint is float else value
    if isinstance(hint, type) and issubclass(hint, Enum) and value not in list(hint):
        raise ValueError(f"give {' or '.join(str(choice.value) for choice in hint)}")
    converted = msgspec.convert(value, hint, strict=False)
    if isinstance(converted, Decimal) and not converted.is_finite():
        raise ValueError("give a finite number")
    if isinstance(converted, Decimal) and isinstance(value, float):
        raise ValueError("give a finite decimal, as text or as a Decimal (a float is not exact)")
    return converted
