"""Converts the values of a configuration, and finds all mistakes in them at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from tickdeck.application.units import duration_ns, seconds_of, share_of
from tickdeck.application.wording import in_words
from tickdeck.errors import ConfigError, format_value

__all__ = ["find_mistakes", "plain_values"]

_SHARES = (
    "maker_fee",
    "taker_fee",
    "participation",
    "price_band",
    "max_drawdown",
    "max_slippage",
    "maintenance",
    "margin_call",
)
"""Fields that may be written as a percentage."""


def plain_values(data: Any, struct: type[msgspec.Struct]) -> Any:
    """``data`` for ``struct``, with durations and percentages as plain numbers.

    ``feed_latency = "10 ms"`` is ``feed_latency_ns = 10000000``. A value that cannot be
    parsed stays as it is, so it does not have the type of its field.
    """
    if not isinstance(data, dict):
        return data
    hints = get_type_hints(struct)
    plain: dict[Any, Any] = {}
    for key, value in data.items():
        name = key if key in hints or f"{key}_ns" not in hints or not isinstance(value, str) else f"{key}_ns"
        plain[name] = _plain(name, value, hints.get(name))
    return plain


def _plain(name: str, value: Any, hint: Any) -> Any:
    hint = _without_none(hint)
    if isinstance(value, str):
        try:
            if name.endswith("_ns") and hint is int:
                return duration_ns(value, zero=True)
            if name in _SHARES:
                return share_of(value)
            if name == "duration":
                return seconds_of(value)
        except ConfigError:
            return value
    inner = _struct_in(hint)
    if inner is None:
        return value
    if _is_struct(hint):
        return plain_values(value, inner)
    if isinstance(value, (list, tuple)):
        return [plain_values(one, inner) for one in value]
    return {key: plain_values(one, inner) for key, one in value.items()} if isinstance(value, dict) else value


def find_mistakes(data: Mapping[str, Any], struct: type[msgspec.Struct], belongs: Mapping[str, str]) -> list[str]:
    """Every mistake in ``data`` as one line each: key, value and what is right, in the order of the file.

    ``belongs`` maps the name of a key to the table to which it belongs.
    """
    return list(dict.fromkeys(_mistakes(data, struct, "", belongs)))


def _mistakes(data: Any, struct: type[msgspec.Struct], path: str, belongs: Mapping[str, str]) -> Iterable[str]:
    if not isinstance(data, Mapping):
        yield f"{path} is {format_value(data)}: give a table"
        return
    hints = get_type_hints(struct)
    names = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    good: dict[str, Any] = {}
    for key, value in data.items():
        place = f"{path}.{key}" if path else str(key)
        field = names.get(key)
        if field is None:
            yield _unknown(str(key), path, names, belongs)
            continue
        found = list(_of_field(value, hints[field.name], place, belongs))
        yield from found
        if not found:
            good[key] = value
    required = {field.encode_name for field in names.values() if field.required}
    missing = [name for name in names if name in required and name not in data]
    if missing:
        yield f"{path or 'the file'} has no {' and no '.join(missing)}; add it"
    if required - good.keys():
        return
    needed = {name: good[name] for name in names if name in required}
    alone = [] if _refusals(needed, struct, path) else [key for key in good if key not in required]
    for key in alone:  # each value alone, if it can be, then all good values together
        refusals = _refusals({**needed, key: good[key]}, struct, path)
        refusals = [refusal for refusal in refusals if not _misses_what_is_there(refusal, data)]
        if refusals:
            place = f"{path}.{key}" if path else key
            for refusal in refusals:
                yield refusal if key in refusal else f"{place} is {format_value(good[key])}: {refusal}"
            del good[key]
    for refusal in _refusals(good, struct, path):
        if not _misses_what_is_there(refusal, data):
            yield refusal


def _misses_what_is_there(refusal: str, data: Mapping[str, Any]) -> bool:
    """Whether an objection asks for a table of the file, which was left out because of another key or a mistake in
    it."""
    asked = re.search(r"describe it under \[([a-z_]+)\.(.+)\]$", refusal)
    tables = data.get(asked[1]) if asked is not None else None
    return asked is not None and isinstance(tables, Mapping) and asked[2] in tables


def _of_field(value: Any, hint: Any, place: str, belongs: Mapping[str, str]) -> Iterable[str]:
    if value is not None:
        hint = _without_none(hint)
    inner = _struct_in(hint)
    if inner is None and get_origin(hint) is dict and isinstance(value, Mapping):
        for key, one in value.items():
            yield from _of_field(one, get_args(hint)[1], f"{place}.{key}", belongs)
    elif inner is None:
        try:
            msgspec.convert(value, hint, strict=False)
        except msgspec.ValidationError as error:
            at = re.search(r" - at `\$(?P<path>[^`]*)`$", str(error))
            what = in_words(str(error)[: at.start()] if at is not None else str(error))
            rest = at["path"] if at is not None else ""
            yield f"{place}{rest} is {format_value(_at(value, rest))}: {_hint(place, what, hint)}"
    elif _is_struct(hint):
        yield from _mistakes(value, inner, place, belongs)
    elif get_origin(hint) is tuple:
        if not isinstance(value, (list, tuple)):
            yield f"{place} is {format_value(value)}: give a list of tables, [[{place}]]"
            return
        for index, one in enumerate(value):
            yield from _mistakes(one, inner, f"{place}[{index}]", belongs)
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _mistakes(one, inner, f"{place}.{key}", belongs)
    else:
        yield f"{place} is {format_value(value)}: give tables, [{place}.NAME]"


def _hint(place: str, what: str, hint: Any) -> str:
    """How to correct the value of a field."""
    name = re.split(r"[.\[]", place)[-1]
    if name.endswith("_ns") and hint is int:
        return "give a duration such as '10 ms', or whole nanoseconds"
    if name in _SHARES:
        return "give a share such as 0.001, or a percentage such as '0.1%'"
    if name == "duration":
        return "give seconds above 0, or a duration such as '1h'"
    return f"{what[0].lower()}{what[1:]}"


def _unknown(key: str, path: str, names: Iterable[str], belongs: Mapping[str, str]) -> str:
    text = f"there is no key {key!r}" + (f" in {path}" if path else "")
    if key in belongs:
        return f"{text}; it belongs {belongs[key]}"
    near = get_close_matches(key, [*names], 1) or get_close_matches(key, belongs, 1)
    return text + (f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}")


def _refusals(values: dict[str, Any], struct: type[msgspec.Struct], path: str) -> list[str]:
    """The objections of the class to values that have the right types; empty if it accepts them."""
    try:
        msgspec.convert(values, struct, strict=False)
    except msgspec.ValidationError as error:
        return [_named(re.sub(r" - at `\$[^`]*`$", "", str(error)), struct, path)]
    except ConfigError as error:
        return [_named(line, struct, path) for line in error.lines]
    return []


def _named(message: str, struct: type[msgspec.Struct], path: str) -> str:
    """An objection with the place of the table in the file."""
    message = re.sub(r"^(paper venue|risk limits|instrument [^:]*): ", "", message)
    if not path or message.startswith(path):
        return message
    named = re.match(r"([a-z_]+)[ \[]", message)
    is_key = named is not None and named[1] in struct.__struct_fields__
    return f"{path}.{message}" if is_key else f"{path}: {message}"


def _at(value: Any, path: str) -> Any:
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, (list, tuple)) and step.isdigit():
            value = value[int(step)]
        elif isinstance(value, Mapping) and step in value:
            value = value[step]
        else:  # a key or a value of a table, which msgspec writes as [...]
            return value
    return value


def _without_none(hint: Any) -> Any:
    """The type of the tables in an optional field; other types as they are."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    optional = type(None) in get_args(hint) and len(kinds) == 1 and _is_struct(kinds[0])
    return kinds[0] if optional else hint


def _is_struct(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _struct_in(hint: Any) -> type[msgspec.Struct] | None:
    """The class of the tables in a field: a single one, a list of them, or one per name."""
    return next((t for t in (hint, *get_args(hint)) if _is_struct(t)), None)
