"""Writes a run's report: ``report.html`` and ``report.png``."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import msgspec

from tickdeck.application.kernel import money_context
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import paper_account
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.infrastructure.exchanges.paper import assumptions_of
from tickdeck.infrastructure.reporting.charts import chart_png
from tickdeck.infrastructure.reporting.page import headline, page
from tickdeck.infrastructure.reporting.session import Session, collect
from tickdeck.infrastructure.runs import Manifest
from tickdeck.infrastructure.temporary_folder import temporary_folder

__all__ = ["HTML", "INSTALL", "PNG", "Written", "missing_extra", "run_session", "write_report"]

HTML, PNG = "report.html", "report.png"
INSTALL = "pip install 'tickdeck[report]'"
"""The command that installs everything a report needs."""
_NEEDED = ("jinja2", "matplotlib")


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The paths of a report (absolute), and its session."""

    html: str
    png: str
    session: Session


def missing_extra() -> tuple[str, ...]:
    """The packages of the extra ``report`` that are not installed."""
    return tuple(name for name in _NEEDED if find_spec(name) is None)


def run_session(manifest: Manifest, record: Iterable[DomainEvent]) -> Session:
    """The session of a run, from its complete ``record`` in order of ``seq`` and the run's settings."""
    config = config_from_dict(manifest.config)
    return collect(
        record,
        symbols=manifest.symbols,
        account_id=config.paper.account_id,
        instrument=config.instrument,
        duration=int(config.duration * 1_000_000_000) if config.duration is not None else None,
    )


@money_context()
def write_report(manifest: Manifest, record: Iterable[DomainEvent], out: Path) -> Written:
    """Write both files to the folder ``out``, which is created if it is missing. An older report there is replaced.

    Raises ``ConfigError`` if the extra ``report`` is not installed or ``out`` cannot be written.
    """
    missing = missing_extra()
    if missing:
        raise ConfigError(f"the report needs {' and '.join(missing)}; `{INSTALL}` installs them")
    session = run_session(manifest, record)
    chart = chart_png(session, f"{headline(manifest)}, run {manifest.run_id}")
    html = page(session, manifest, _assumptions(manifest), chart)
    try:
        out.mkdir(parents=True, exist_ok=True)
        _replace(out / PNG, chart)
        _replace(out / HTML, html.encode())
    except OSError as error:
        raise ConfigError(f"{out}: the report cannot be written: {error.strerror}; name another folder") from None
    return Written(html=str((out / HTML).resolve()), png=str((out / PNG).resolve()), session=session)


def _assumptions(manifest: Manifest) -> tuple[str, ...]:
    config = config_from_dict(manifest.config)
    on_paper = {name: one for name, one in config.accounts.items() if one.is_paper and not config.live}
    accounts = [paper_account(name, one, config.paper) for name, one in on_paper.items()]
    return assumptions_of(*(accounts or [config.paper]))


def _replace(path: Path, data: bytes) -> None:
    """Write the file atomically: a reader never sees half a file."""
    with temporary_folder(path.parent) as folder:
        (folder / path.name).write_bytes(data)
        (folder / path.name).replace(path)
