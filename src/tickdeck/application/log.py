"""Log lines with named fields, as ordinary records of the standard library's ``logging``.

The program decides where they go. The command line writes them as described in ``infrastructure.logs``. A program with
its own handlers gets the message, and the fields in ``record.fields``.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

__all__ = ["bound_logger"]


def bound_logger(name: str, **fields: Any) -> BoundLogger:
    """A structlog logger called ``name`` with ``fields`` on each of its lines: ``log.info("message", symbol=...)``.

    It needs no structlog configuration and changes none.
    """
    from structlog import wrap_logger
    from structlog.stdlib import BoundLogger, filter_by_level

    logger: BoundLogger = wrap_logger(
        logging.getLogger(name), processors=[filter_by_level, _to_record], wrapper_class=BoundLogger, **fields
    )
    return logger


def _to_record(
    logger: object, method: str, event_dict: MutableMapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments for ``logging``: the message, and the fields under one name that does not clash with others."""
    kwargs = {name: event_dict.pop(name) for name in ("exc_info", "stack_info", "stacklevel") if name in event_dict}
    arguments = event_dict.pop("positional_args", ())
    message = event_dict.pop("event", "")
    return (message, *arguments), {**kwargs, "extra": {"fields": dict(event_dict)}}
