"""``tickdeck whatif``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from tickdeck.errors import ConfigError, RunError
from tickdeck.interfaces.cli.exits import DONE, FAULT, details_wanted
from tickdeck.interfaces.cli.options import data_option, json_option, recorded_run, run_argument
from tickdeck.interfaces.cli.output import event_fields, note, print_json

if TYPE_CHECKING:
    from tickdeck.application.proof import Comparison
    from tickdeck.domain.events import DomainEvent, StrategyDecisionEvent
    from tickdeck.infrastructure.config import RunConfig
    from tickdeck.infrastructure.reporting import Session
    from tickdeck.infrastructure.runs import Manifest

__all__ = ["whatif"]

_SHOWN = 3  # differences for people
_KEPT = 20  # differences in JSON


@click.command()
@run_argument
@click.option(
    "--param",
    multiple=True,
    metavar="NAME=VALUE",
    help="Another value for a strategy parameter; with several strategies ID.NAME=VALUE. Repeatable.",
)
@click.option(
    "--strategy",
    multiple=True,
    metavar="SPEC",
    help="Other strategies instead of the run's: ema-cross, package.module:Class, path/to/file.py:Class.",
)
@data_option
@json_option("The comparison as one JSON object")
def whatif(run: str, param: tuple[str, ...], strategy: tuple[str, ...], data: Path, as_json: bool) -> int:
    """Run other settings on the session that RUN recorded, and show what changes.

    Market data, venue, limits and seed are those of RUN; everything else may differ. If RUN was live, its recorded
    frames are the market data, and orders are filled on paper. Shows the first decisions that
    differ, with the causes on both sides, and the difference in PnL. The result is an ordinary run under DIR whose
    manifest names RUN, so you can inspect, verify and compare it.

    \b
    Examples:
      tickdeck whatif last --param fast=5 --param slow=20
      tickdeck whatif last --strategy rsi-reversion --json
    """
    from tickdeck.bootstrap import start_run
    from tickdeck.infrastructure.runs import read_manifest
    from tickdeck.interfaces.cli.job import drive

    if not param and not strategy:
        raise click.UsageError("nothing to change; use --param or --strategy")
    folder = recorded_run(data, run)
    manifest = read_manifest(folder)
    config = _other(folder, manifest, param, strategy)
    with contextlib.redirect_stdout(sys.stderr):  # what a strategy prints is not a result
        job = start_run(config, data, whatif_of=manifest.run_id)
        outcome = drive(job, None, details=details_wanted())
    if outcome.stopped_by is not None:
        note(f"stopped before the end; `tickdeck run --resume {job.manifest.run_id}` continues it")
        return 128 + outcome.stopped_by
    sides = (_session(folder), _session(job.folder))
    comparison = _compare(folder, job.folder)
    causes = (_causes(folder, comparison, "original"), _causes(job.folder, comparison, "other"))
    if as_json:
        print_json(_json(manifest, job.manifest, sides, comparison, causes))
    else:
        _print(manifest, job.manifest, sides, comparison, causes)
    return FAULT if outcome.summary.failed else DONE


def _other(folder: Path, manifest: Manifest, param: tuple[str, ...], strategy: tuple[str, ...]) -> RunConfig:
    """The run's configuration on its recorded data, with the requested changes."""
    from tickdeck.infrastructure.config import StrategyConfig, TapeConfig, config_from_dict, rooted
    from tickdeck.infrastructure.runs import check_inputs, settings_of
    from tickdeck.infrastructure.runs.folder import PAPER
    from tickdeck.infrastructure.tape.lock import writer_of
    from tickdeck.infrastructure.tape.opening import tape_path
    from tickdeck.interfaces.cli.run_config import with_parameters

    recorded = config = config_from_dict(settings_of(folder, manifest))
    if manifest.inputs:
        check_inputs(manifest)
    else:
        writer = writer_of(tape_path(folder))
        if writer is not None:
            raise RunError(f"run {manifest.run_id} is running, in process {writer}; stop it first")
        if manifest.is_live:  # on its recorded frames, with orders on paper
            config = replace(config, exchange=PAPER, exchange_url=None, testnet=False, live=False, account="")
        config = replace(config, tapes=(TapeConfig(path=str(folder.resolve())),), symbols=manifest.symbols)
    if strategy:
        config = replace(config, strategies=tuple(StrategyConfig(spec=spec) for spec in strategy))
        config = rooted(config, Path.cwd())
    config = replace(config, strategies=with_parameters(config.strategies, param))
    if config.strategies == recorded.strategies:
        raise ConfigError("the settings are the same as the run's; give --param or --strategy other values")
    return config


def _session(folder: Path) -> Session:
    from tickdeck.bootstrap import open_record
    from tickdeck.infrastructure.reporting import run_session
    from tickdeck.infrastructure.runs import read_manifest

    return run_session(read_manifest(folder), open_record(folder))


def _compare(original: Path, other: Path) -> Comparison:
    from tickdeck.application.proof import compare_decisions

    return compare_decisions(_decisions(original), _decisions(other), shown=_KEPT)


def _decisions(folder: Path) -> Iterator[StrategyDecisionEvent]:
    from tickdeck.application.ports import TapeQuery
    from tickdeck.bootstrap import open_record
    from tickdeck.domain.events import StrategyDecisionEvent

    for event in open_record(folder, TapeQuery(types=(StrategyDecisionEvent.event_type,))):
        if isinstance(event, StrategyDecisionEvent):
            yield event


def _causes(folder: Path, comparison: Comparison, side: str) -> dict[str, list[DomainEvent]]:
    """The causes of each side's first differing decisions, the first cause first, keyed by the decision's id."""
    from tickdeck.bootstrap import open_record

    wanted = [decision for difference in comparison.differences[:_SHOWN] if (decision := getattr(difference, side))]
    stories: dict[str, dict[str, DomainEvent]] = {decision.correlation_id: {} for decision in wanted}
    if not stories:
        return {}
    last = max(decision.seq for decision in wanted)
    for event in open_record(folder):
        if event.seq > last:
            break
        story = stories.get(event.correlation_id)
        if story is not None:
            story[event.event_id] = event
    found = {}
    for decision in wanted:
        story, chain = stories[decision.correlation_id], []
        cause = story.get(decision.causation_id)
        while cause is not None:
            chain.append(cause)
            cause = story.get(cause.causation_id)
        found[decision.event_id] = chain[::-1]
    return found


_Causes = tuple[dict[str, list["DomainEvent"]], dict[str, list["DomainEvent"]]]


def _json(
    original: Manifest, other: Manifest, sides: tuple[Session, Session], comparison: Comparison, causes: _Causes
) -> dict[str, Any]:
    def told(decision: StrategyDecisionEvent | None, side: int) -> dict[str, Any] | None:
        if decision is None:
            return None
        chain = causes[side].get(decision.event_id, [])
        return event_fields(decision) | {"causes": [event_fields(cause) for cause in chain]}

    return {
        "original": original.run_id,
        "run": other.run_id,
        "decisions": {
            "same": comparison.same,
            "only_original": comparison.only_original,
            "only_run": comparison.only_other,
        },
        "differences": [
            {"ts": found.ts, "original": told(found.original, 0), "run": told(found.other, 1)}
            for found in comparison.differences
        ],
        "figures": {"original": _figures(sides[0]), "run": _figures(sides[1])},
    }


def _figures(session: Session) -> dict[str, Any]:
    from tickdeck.domain.values import plain

    performance = session.performance
    return {
        "decisions": session.counts.get("strategy.decision", 0),
        "orders": session.counts.get("order.submitted", 0),
        "fills": len(session.fills),
        "trades": performance.trades,
        "pnl": plain(session.pnl),
        "fees": plain(session.fees),
        "max_drawdown": session.max_drawdown,
        "win_rate": performance.win_rate,
    }


def _print(
    original: Manifest, other: Manifest, sides: tuple[Session, Session], comparison: Comparison, causes: _Causes
) -> None:
    from rich.text import Text

    from tickdeck.interfaces.cli.output import console
    from tickdeck.interfaces.cli.tables import decision_lines, figures_table, settings_lines

    out = console()
    out.print(Text(f"what-if of run {original.run_id}: run {other.run_id}", style="bold"))
    for line in settings_lines(original, other):
        out.print(Text(line), soft_wrap=True)
    out.print()
    same, left, right = comparison.same, comparison.only_original, comparison.only_other
    if not left and not right:
        out.print(Text(f"every decision is the same: {same:,}"))
    else:
        out.print(Text(f"decisions: {same:,} the same, {left:,} only in the run, {right:,} only in the what-if"))
        for difference in comparison.differences[:_SHOWN]:
            for line in decision_lines(difference, causes):
                out.print(Text(line), soft_wrap=True)
        more = (
            left
            + right
            - sum((found.original is not None) + (found.other is not None) for found in comparison.differences[:_SHOWN])
        )
        if more > 0:
            out.print(Text(f"  and {more:,} more; --json shows the first {_KEPT}"))
    out.print()
    out.print(figures_table(*sides))
