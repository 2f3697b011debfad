"""Parameters of strategies and signals: annotated attributes with defaults, set by name and checked by type."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from copy import deepcopy
from decimal import Decimal
from typing import Any, ClassVar, get_origin, get_type_hints

import msgspec

from tickdeck.application.secret_names import REDACTED, is_secret
from tickdeck.application.units import share_of
from tickdeck.application.wording import in_words
from tickdeck.errors import ConfigError, format_value

__all__ = ["Parametrised"]


class Parametrised:
    """A class whose annotated attributes with defaults are parameters. ``kind`` is what messages call it.

    Methods whose names begin with ``on_`` must be plain functions: ``ConfigError`` when the class is made.
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
        try:
            hints = get_type_hints(cls)
        except NameError as error:
            raise ConfigError(
                f"{cls.kind} {cls.__name__}: {error}; import what its parameters are annotated with"
            ) from None
        cls._parameters = {
            name: hint
            for name, hint in hints.items()
            if not name.startswith("_") and hasattr(cls, name) and ClassVar not in (hint, get_origin(hint))
        }

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
        if mistakes:
            raise ConfigError.of(mistakes)
        before = {name: getattr(self, name) for name in values}
        for name, value in values.items():
            setattr(self, name, value)
        try:
            self.check_parameters()
        except ConfigError as error:
            for name, value in before.items():
                setattr(self, name, value)
            raise ConfigError(f"{self.kind} {type(self).__name__}: {error}") from None

    def check_parameters(self) -> None:
        """Raise ``ConfigError`` if the parameters make no sense together. Called whenever parameters are set."""


def _converted(value: Any, hint: Any) -> Any:
    """Convert a parameter to the type of its annotation; text, as from a command line, is parsed (``2%`` is 0.02).
    Raises ``ValueError``."""
    if isinstance(value, str) and value.rstrip().endswith("%") and hint in (Decimal, float):
        with contextlib.suppress(ConfigError):
            value = share_of(value)
            value = float(value) if hint is float else value
    converted = msgspec.convert(value, hint, strict=False)
    if isinstance(converted, Decimal) and (isinstance(value, float) or not converted.is_finite()):
        raise ValueError("give a finite decimal, as text or as a Decimal (a float is not exact)")
    return converted
