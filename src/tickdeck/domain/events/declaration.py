"""What happens when an event class is defined: its fields are understood, its checks are made, its type is entered.

A class that could not work is refused here, with ``EventValidationError`` in words for its author.

(A metaclass would be the natural place, but on CPython 3.11 a class with a metaclass written in Python is called
without the vectorcall protocol, and events would take twice as long to create.)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, get_origin

import msgspec
from msgspec.structs import force_setattr

from tickdeck.domain.events.annotations import Unsupported, hints_of, kind_of
from tickdeck.domain.events.kinds import Kind, Names, Nothing, Records, Text, Unfit, Unions
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.registry import check_name, register
from tickdeck.errors import EventValidationError

if TYPE_CHECKING:
    from tickdeck.domain.events.base import DomainEvent

__all__ = ["Declaration", "declaration_of", "declare", "fault_of"]

_CLASS_VARS = {"event_type": "str", "version": "int", "is_market_data": "bool", "priority": "Priority"}
_STAMPED = ("event_id", "correlation_id", "causation_id", "seq")
"""Fields that only the kernel fills: they have their defaults when an event is made."""
_REPEATED = ("source", "symbol", "strategy_id", "account_id")
"""Fields that are the same in most events of a class."""
_STREAM = Unions((Nothing(), Text(empty=False)))


class Declaration(NamedTuple):
    """What is known of an event class."""

    record: Records
    """Its fields."""
    loose: bool
    """A struct within it would drop a field that it does not know; who reads it has to look."""


_declarations: dict[type, Declaration] = {}


def declaration_of(cls: type[DomainEvent]) -> Declaration:
    return _declarations[cls]


def fault_of(event: DomainEvent) -> str | None:
    """The first field with a value that it must not have, and what it must be; ``None`` where all are right. Only
    ``force_setattr`` puts a wrong value into an event.
    """
    try:
        for name, kind in _declarations[type(event)].record.fields.items():
            kind.settle(getattr(event, name), name)
    except Unfit as error:
        return str(error)
    return None


def declare(cls: type[DomainEvent], root: type[DomainEvent]) -> None:
    """Check a new event class, give it its ``__post_init__``, and enter its type. ``root`` is ``DomainEvent``.

    msgspec has not finished the class at this moment. What it alone knows (defaults, options) is looked at when the
    first event is created.
    """
    nested: dict[type, Records] = {}
    record = Records(cls, msgspec.structs.replace, None)
    try:
        _check_statement(cls, root)
        hints, envelope = hints_of(cls), hints_of(root)
        fields = _fields(cls)
        for field in fields:
            if field in envelope and hints[field] != envelope[field]:
                raise Unsupported(f"{field} belongs to every event, with a type of its own; call yours otherwise")
            try:
                record.fields[field] = kind_of(hints[field], nested)
                msgspec.json.Decoder(hints[field])
            except (Unsupported, TypeError, ValueError, NameError) as error:
                raise Unsupported(f"{field}: {error}") from None
        record.name_in_json(fields)
        _check_class_vars(cls)
        register(cls)
    except Unsupported as error:
        raise EventValidationError(f"{cls.__name__}: {error}") from None
    loose = any(
        not (issubclass(each, msgspec.Struct) and each.__struct_config__.forbid_unknown_fields) for each in nested
    )
    _declarations[cls] = Declaration(record, loose)
    cls.__post_init__ = _post_init(cls, root, hints)  # type: ignore[method-assign]


def _check_statement(cls: type[DomainEvent], root: type[DomainEvent]) -> None:
    annotations: dict[str, Any] = inspect.get_annotations(cls)
    for var, kind in _CLASS_VARS.items():
        if var in annotations and not _is_class_var(annotations[var]):
            value = cls.__dict__.get(var, "...")
            raise Unsupported(f"{var} is annotated like a field; write `{var}: ClassVar[{kind}] = {value!r}`")
    parents = [base for base in cls.__bases__ if issubclass(base, root)]
    concrete = next((parent for parent in parents if parent.event_type), None)
    if concrete is not None and not cls.__dict__.get("event_type"):
        raise Unsupported(
            f"it extends {concrete.__name__}, and would be read back as one; give it an event_type of its own: "
            "`event_type: ClassVar[str] = ...`"
        )
    for field, hint in annotations.items():
        if _is_class_var(hint) or field.startswith("__"):
            continue
        if any(hasattr(parent, field) and field not in parent.__struct_fields__ for parent in parents):
            raise Unsupported(f"{field} is a name that every event has already; call the field otherwise")


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
        raise Unsupported(f"version is {cls.version!r}; it must be an int from 1")
    if type(cls.is_market_data) is not bool:
        raise Unsupported(f"is_market_data is {cls.is_market_data!r}; it must be True or False")
    if type(cls.priority) is not Priority:
        raise Unsupported(f"priority is {cls.priority!r}; it must be one of Priority.P0 to Priority.P3")


def _check_options(cls: type[DomainEvent]) -> None:
    """What the class statement said to msgspec, which is known once the class is complete."""
    config = cls.__struct_config__
    wrong = (
        (not config.frozen, "an event is immutable; leave frozen=False out"),
        (not config.eq, "events with equal fields are equal; leave eq=False out"),
        (config.array_like, "an event is written with named fields; leave array_like out"),
        (config.omit_defaults, "defaults are left out by identity, so that equal events differ; drop omit_defaults"),
        (config.tag is not None, "the event_type tells one class from another; leave tag out"),
        (not config.forbid_unknown_fields, "no field is dropped in silence; leave forbid_unknown_fields=False out"),
        (
            cls.__struct_fields__ != cls.__struct_encode_fields__,
            "fields have the same names in Python and on the tape; leave rename out",
        ),
    )
    for is_wrong, text in wrong:
        if is_wrong:
            raise EventValidationError(f"{cls.__name__}: {text}")


def _post_init(cls: type[DomainEvent], root: type[DomainEvent], hints: dict[str, Any]) -> FunctionType:
    """The ``__post_init__`` of a class. The first event completes it: from then on it is one compiled function.

    A ``__post_init__`` that the class has (``own``) runs behind the checks, whether it calls
    ``super().__post_init__()`` or not.
    """
    own = cls.__dict__.get("__post_init__") or cls.__post_init__.__globals__.get("own")
    names = Names()
    names.all.update(own=own, settle=_settle, force_setattr=force_setattr)

    def begin(event: DomainEvent) -> None:
        _check_options(cls)
        post_init.__code__ = _compile(cls, root, hints, names, event)
        post_init(event)

    names.all["begin"] = begin
    post_init = FunctionType(_begin.__code__, names.all, "__post_init__")
    return post_init


def _begin(e: DomainEvent) -> None:
    begin(e)  # type: ignore[name-defined]  # noqa: F821 (a global of each class's own)


def _compile(
    cls: type[DomainEvent], root: type[DomainEvent], hints: dict[str, Any], names: Names, event: DomainEvent
) -> CodeType:
    """All checks of a class as one function, as dataclasses do it. ``event`` is the first of the class.

    Values that are nearly always the same are compared by identity, which costs a quarter of a check: the default of
    a field, the part of the envelope that the kernel fills, and the text that the first event has (most runs have one
    venue, many have one symbol).
    """
    record = _declarations[cls].record
    own = names.all["own"]
    untouched, stamped, metadata, single, containers = [], [], [], [], []
    for info in msgspec.structs.fields(cls):
        field, default = info.name, info.default
        kind = record.fields[field] = kind_of(hints[field], {}, name=field, empty=default == "")
        usual = []
        if default is not msgspec.NODEFAULT and _settled_default(cls, field, kind, default) is default:
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
        if field == "metadata":  # an empty one is nearly always what is read from a tape
            empty = names.of(default)
            metadata = [
                f"if (v := e.metadata) is not {empty}:",
                "    if not v and type(v) is dict:",
                f"        force_setattr(e, 'metadata', {empty})",
                f"    elif not ({kind.code('v', names)}):",
                f"        {names.of(_settler(cls, field, kind))}(e, v)",
            ]
        elif field in _STAMPED:
            stamped.append(condition)
        elif kind.is_scalar:
            single.append(condition)
        else:
            containers.append(f"if not {condition}:")
            containers.append(f"    {names.of(_settler(cls, field, kind))}(e, v)")
    ours = cls.__module__.startswith("tickdeck.")
    has_stream = cls.stream is not root.stream
    if _is_base(cls):  # no event is of this class alone; the checks of its subclasses may call it by ``super()``
        lines = [f"if type(e) is {names.of(cls)}:", "    settle(e)"]
        lines += ["elif own is not None:", "    own(e)"]
    else:
        if has_stream and (own is None or ours):
            single.append(f"({_STREAM.code('v', names, '(v := e.stream)')})")
        lines = [
            f"if not ({' and '.join(untouched)}):",
            f"    if not ({' and '.join(stamped)}):",
            "        settle(e)",
            *metadata,
            f"if not ({' and '.join(single)}):",
            "    settle(e)",
            *containers,
        ]
        if own is not None:
            lines.append("own(e)")
            if not ours:  # it may have changed a field, and its stream may be made of what it computed
                lines.append("settle(e)")
    source = "def __post_init__(e):\n" + "\n".join(f"    {line}" for line in lines)
    made: dict[str, Any] = {}
    exec(source, names.all, made)  # noqa: S102 (made of the names of fields)
    code: CodeType = made["__post_init__"].__code__
    return code


def _keeps(kind: Kind, value: Any) -> bool:
    try:
        return kind.settle(value, "") is value
    except Unfit:
        return False


def _settled_default(cls: type[DomainEvent], field: str, kind: Kind, default: Any) -> Any:
    try:
        return kind.settle(default, f"the default of {field}")
    except Unfit as error:
        raise EventValidationError(f"{cls.__name__}: {error}") from None


def _settler(cls: type[DomainEvent], field: str, kind: Kind) -> Callable[[DomainEvent, Any], None]:
    def settle_field(event: DomainEvent, value: Any) -> None:
        try:
            force_setattr(event, field, kind.settle(value, field))
        except Unfit as error:
            raise EventValidationError(f"{cls.event_type or cls.__name__}: {error}") from None

    return settle_field


def _is_base(cls: type[DomainEvent]) -> bool:
    return not cls.event_type and not cls._is_raw


def _settle(event: DomainEvent) -> None:
    """Bring the fields into the form in which events keep them. Raises ``EventValidationError`` for the first that
    has a value which it must not have."""
    cls = type(event)
    if _is_base(cls):
        raise EventValidationError(f"{cls.__name__} has no event_type: it is a base; make one of its subclasses")
    try:
        for name, kind in _declarations[cls].record.fields.items():
            old = getattr(event, name)
            new = kind.settle(old, name)
            if new is not old:
                force_setattr(event, name, new)
        _STREAM.settle(event.stream, "stream")
    except Unfit as error:
        raise EventValidationError(f"{cls.event_type or cls.__name__}: {error}") from None
