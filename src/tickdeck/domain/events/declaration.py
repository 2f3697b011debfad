"""What happens when an event class is defined: analyse its fields, compile its checks, register its type.

A class that could not work raises ``EventValidationError``. The message tells the author of the class what to change.

This is not a metaclass, although that would be the natural place. CPython 3.11 does not use the vectorcall protocol for
classes with a metaclass written in Python, and events would take twice as long to create.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable
from types import CodeType, FunctionType, MemberDescriptorType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, get_origin

import msgspec
from msgspec.structs import force_setattr

from tickdeck.domain.events.annotations import Unsupported, hints_of, kind_of_field
from tickdeck.domain.events.kinds import InvalidValue, Kind, Names, Nothing, Records, Text, Unions
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.registry import check_name, register
from tickdeck.errors import EventValidationError

if TYPE_CHECKING:
    from tickdeck.domain.events.base import DomainEvent

__all__ = ["Declaration", "check_fields", "declaration_of", "declare", "fault_of", "users_checks"]

_CLASS_VARS = {"event_type": "str", "version": "int", "is_market_data": "bool", "priority": "Priority"}
_STAMPED = ("event_id", "correlation_id", "causation_id", "seq")
"""Fields that only the kernel sets. They have their defaults when an event is created."""
_REPEATED = ("source", "symbol", "strategy_id", "account_id")
"""Fields that have the same value in most events of a class."""
_STREAM = Unions((Nothing(), Text(empty=False)))


class Declaration(NamedTuple):
    """What the analysis of an event class found."""

    record: Records
    """The kinds of its fields."""
    drops_unknown_fields: bool
    """When decoding, a struct within the event would silently drop unknown fields. So the decoder must check for
    them."""


_declarations: dict[type, Declaration] = {}


def declaration_of(cls: type[DomainEvent]) -> Declaration:
    return _declarations[cls]


def fault_of(event: DomainEvent) -> str | None:
    """Describe the first field that has an invalid value; ``None`` if all are valid. An event has an invalid value
    only if ``force_setattr`` set it.
    """
    try:
        for name, kind in _declarations[type(event)].record.fields.items():
            kind.normalize(getattr(event, name), name)
        _STREAM.normalize(event.stream, "stream")
    except InvalidValue as error:
        return str(error)
    return None


_checks: dict[type, Callable[[DomainEvent], bool]] = {}
"""The checks of all fields of a class, compiled into one function, once an event of the class was created."""
users_checks: dict[type, Callable[[DomainEvent], bool]] = {}
"""Those of ``_checks`` whose classes are not Tickdeck's own."""


def check_fields(event: DomainEvent) -> None:
    """Check the fields again, in case code bypassed the checks that every new event passes. A wrong value may be one
    that JSON can hold, so that it could be stored, but not read again.

    Raises ``EventValidationError``. Takes a fifth of the time that it takes to create the event.
    """
    check = _checks.get(type(event))
    if (check is None or not check(event)) and (fault := fault_of(event)) is not None:
        name = event.event_type or type(event).__name__
        raise EventValidationError(f"{name}: {fault}")


def declare(cls: type[DomainEvent], root: type[DomainEvent]) -> None:
    """Check a new event class, set its ``__post_init__`` and register its type. ``root`` is ``DomainEvent``.

    msgspec has not finished the class at this point. So its defaults and options are checked when the first event of
    the class is created.
    """
    nested: dict[type, Records] = {}
    record = Records(cls, msgspec.structs.replace, None)
    try:
        _check_statement(cls, root)
        hints, envelope = hints_of(cls), hints_of(root)
        fields = _fields(cls)
        for field in fields:
            if field in envelope and hints[field] != envelope[field]:
                raise Unsupported(f"every event has a field {field} of another type; rename yours")
            try:
                record.fields[field] = kind_of_field(hints[field], nested)
                msgspec.json.Decoder(hints[field])
            except (Unsupported, TypeError, ValueError, NameError, NotImplementedError) as error:
                raise Unsupported(f"{field}: {error}") from None
        record.name_in_json(fields)
        _check_class_vars(cls)
        register(cls)
    except Unsupported as error:
        raise EventValidationError(f"{cls.__name__}: {error}") from None
    drops = any(
        not (issubclass(each, msgspec.Struct) and each.__struct_config__.forbid_unknown_fields) for each in nested
    )
    _declarations[cls] = Declaration(record, drops)
    cls.__post_init__ = _post_init(cls, root, hints)  # type: ignore[method-assign]


def _check_statement(cls: type[DomainEvent], root: type[DomainEvent]) -> None:
    annotations: dict[str, Any] = inspect.get_annotations(cls)
    for var, kind in _CLASS_VARS.items():
        if var in annotations and not _is_class_var(annotations[var]):
            value = cls.__dict__.get(var)
            shown = "..." if value is None or isinstance(value, MemberDescriptorType) else repr(value)
            raise Unsupported(f"{var} is annotated like a field; write `{var}: ClassVar[{kind}] = {shown}`")
    parents = [base for base in cls.__bases__ if issubclass(base, root)]
    concrete = next((parent for parent in parents if parent.event_type), None)
    if concrete is not None and not cls.__dict__.get("event_type"):
        raise Unsupported(
            f"it extends {concrete.__name__} and would be decoded as one; give it its own event_type: "
            "`event_type: ClassVar[str] = ...`"
        )
    for field, hint in annotations.items():
        if _is_class_var(hint) or field.startswith("__"):
            continue
        if keyword.iskeyword(field):
            raise Unsupported(f"{field!r} is a keyword of Python; rename the field")
        if any(hasattr(parent, field) and field not in parent.__struct_fields__ for parent in parents):
            raise Unsupported(f"every event already has an attribute {field}; rename the field")


def _fields(cls: type[DomainEvent]) -> tuple[str, ...]:
    inherited = [
        field for base in cls.__bases__ if issubclass(base, msgspec.Struct) for field in base.__struct_fields__
    ]
    own = [field for field, hint in inspect.get_annotations(cls).items() if not _is_class_var(hint)]
    return tuple(dict.fromkeys([*inherited, *own]))


def _is_class_var(hint: Any) -> bool:
    if isinstance(hint, str):
        return hint.split("[", 1)[0].strip().rsplit(".", 1)[-1] == "ClassVar"
    return hint is ClassVar or get_origin(hint) is ClassVar


def _check_class_vars(cls: type[DomainEvent]) -> None:
    if cls.event_type or not isinstance(cls.event_type, str):
        check_name(cls.__name__, cls.event_type)
    if type(cls.version) is not int or cls.version < 1:
        raise Unsupported(f"version is {cls.version!r}; it must be an int of at least 1")
    if type(cls.is_market_data) is not bool:
        raise Unsupported(f"is_market_data is {cls.is_market_data!r}; it must be True or False")
    if type(cls.priority) is not Priority:
        raise Unsupported(f"priority is {cls.priority!r}; it must be one of Priority.P0 to Priority.P3")


def _check_options(cls: type[DomainEvent]) -> None:
    """Check the msgspec options of the class. They are known only once the class is complete."""
    config = cls.__struct_config__
    wrong = (
        (not config.frozen, "events are immutable; remove frozen=False"),
        (not config.eq, "events with equal fields must be equal; remove eq=False"),
        (config.array_like, "events are written with named fields; remove array_like"),
        (config.omit_defaults, "omit_defaults compares by identity, so equal events may encode differently; remove it"),
        (config.tag is not None, "event_type identifies the class; remove tag"),
        (not config.forbid_unknown_fields, "unknown fields must not be dropped; remove forbid_unknown_fields=False"),
        (
            cls.__struct_fields__ != cls.__struct_encode_fields__,
            "fields must have the same names in Python and on the tape; remove rename",
        ),
    )
    for is_wrong, text in wrong:
        if is_wrong:
            raise EventValidationError(f"{cls.__name__}: {text}")


def _post_init(cls: type[DomainEvent], root: type[DomainEvent], hints: dict[str, Any]) -> FunctionType:
    """The ``__post_init__`` of a class. It compiles itself when the first event is created.

    The class's own ``__post_init__`` (``own``) runs after the checks, whether or not it calls
    ``super().__post_init__()``.
    """
    own = cls.__dict__.get("__post_init__") or cls.__post_init__.__globals__.get("own")
    names = Names()
    names.all.update(own=own, normalize=_normalize, force_setattr=force_setattr)

    def begin(event: DomainEvent) -> None:
        _check_options(cls)
        post_init.__code__ = _compile(cls, root, hints, names, event)
        post_init(event)

    names.all["begin"] = begin
    post_init = FunctionType(_begin.__code__, names.all, "__post_init__")
    return post_init


def _begin(e: DomainEvent) -> None:
    begin(e)  # type: ignore[name-defined]  # noqa: F821 (a global, different for each class)


def _compile(
    cls: type[DomainEvent], root: type[DomainEvent], hints: dict[str, Any], names: Names, event: DomainEvent
) -> CodeType:
    """Compile all checks of a class into one function, as dataclasses does. ``event`` is the first of its class.

    Values that rarely differ are first compared by identity, which costs a quarter of a full check. These are the
    defaults, the fields that the kernel sets, and the texts of the first event: most runs have one venue, and many
    have one symbol.
    """
    record = _declarations[cls].record
    own = names.all["own"]
    untouched, stamped, metadata, single, containers = [], [], [], [], []
    unchanged = []
    for info in msgspec.structs.fields(cls):
        field, default = info.name, info.default
        kind = record.fields[field] = kind_of_field(hints[field], {}, name=field, empty=default == "")
        usual = []
        if default is not msgspec.NODEFAULT and _normalized_default(cls, field, kind, default) is default:
            usual.append(default)
        if field in _STAMPED:
            untouched.append(f"e.{field} is {names.of(default)}" if usual else "False")
        first = getattr(event, field)
        if field in _REPEATED and type(first) is str and first not in usual and _keeps(kind, first):
            usual.insert(0, first)
        same = [f"v is {names.of(value)}" for value in usual]
        if same:
            same[0] = same[0].replace("v", f"(v := e.{field})", 1)
            condition = f"({' or '.join(same)} or {kind.code('v', names)})"
        else:
            condition = f"({kind.code('v', names, f'(v := e.{field})')})"
        if field not in _STAMPED or field == "correlation_id":
            unchanged.append(condition)
        if field == "metadata":  # nearly always an empty one that was read from a tape
            empty = names.of(default)
            metadata = [
                f"if (v := e.metadata) is not {empty}:",
                "    if not v and type(v) is dict:",
                f"        force_setattr(e, 'metadata', {empty})",
                f"    elif not ({kind.code('v', names)}):",
                f"        {names.of(_normalizer(cls, field, kind))}(e, v)",
            ]
        elif field in _STAMPED:
            stamped.append(condition)
        elif kind.is_scalar:
            single.append(condition)
        else:
            containers.append(f"if not {condition}:")
            containers.append(f"    {names.of(_normalizer(cls, field, kind))}(e, v)")
    ours = cls.__module__.startswith("tickdeck.")
    has_stream = cls.stream is not root.stream
    if _is_base(cls):  # a base class; only a subclass calls this, by ``super()``
        lines = [f"if type(e) is {names.of(cls)}:", "    normalize(e)"]
        lines += ["elif own is not None:", "    own(e)"]
    else:
        if has_stream and (own is None or ours):
            single.append(f"({_STREAM.code('v', names, '(v := e.stream)')})")
        lines = [
            f"if not ({' and '.join(untouched)}):",
            f"    if not ({' and '.join(stamped)}):",
            "        normalize(e)",
            *metadata,
            f"if not ({' and '.join(single)}):",
            "    normalize(e)",
            *containers,
        ]
        if own is not None:
            lines.append("own(e)")
            if not ours:  # it may have changed a field or the stream
                lines.append("normalize(e)")
    source = "def __post_init__(e):\n" + "\n".join(f"    {line}" for line in lines)
    source += f"\ndef check(e):\n    return {' and '.join(unchanged)}\n"
    made: dict[str, Any] = {}
    exec(source, names.all, made)  # noqa: S102 (made of field names only)
    if not _is_base(cls):
        _checks[cls] = made["check"]
        if not ours:
            users_checks[cls] = made["check"]
    code: CodeType = made["__post_init__"].__code__
    return code


def _keeps(kind: Kind, value: Any) -> bool:
    try:
        return kind.normalize(value, "") is value
    except InvalidValue:
        return False


def _normalized_default(cls: type[DomainEvent], field: str, kind: Kind, default: Any) -> Any:
    try:
        return kind.normalize(default, f"the default of {field}")
    except InvalidValue as error:
        raise EventValidationError(f"{cls.__name__}: {error}") from None


def _normalizer(cls: type[DomainEvent], field: str, kind: Kind) -> Callable[[DomainEvent, Any], None]:
    def normalize_field(event: DomainEvent, value: Any) -> None:
        try:
            force_setattr(event, field, kind.normalize(value, field))
        except InvalidValue as error:
            raise EventValidationError(f"{cls.event_type or cls.__name__}: {error}") from None

    return normalize_field


def _is_base(cls: type[DomainEvent]) -> bool:
    return not cls.event_type and not cls._is_raw


def _normalize(event: DomainEvent) -> None:
    """Normalize all fields and check the stream. Raises ``EventValidationError`` for the first invalid value."""
    cls = type(event)
    if _is_base(cls):
        raise EventValidationError(
            f"{cls.__name__} has no event_type, so it is a base class; create one of its subclasses"
        )
    try:
        for name, kind in _declarations[cls].record.fields.items():
            old = getattr(event, name)
            new = kind.normalize(old, name)
            if new is not old:
                force_setattr(event, name, new)
        _STREAM.normalize(event.stream, "stream")
    except InvalidValue as error:
        raise EventValidationError(f"{cls.event_type or cls.__name__}: {error}") from None
