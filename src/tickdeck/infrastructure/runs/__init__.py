"""Runs on disk: the folder with its manifest, the input files, and the list of runs."""

from tickdeck.infrastructure.runs.backup import RunBackup, backup_run
from tickdeck.infrastructure.runs.core_states import CoreState, CoreStates
from tickdeck.infrastructure.runs.ending import RunEnd, RunFigures, read_end, write_end
from tickdeck.infrastructure.runs.folder import (
    TRADES,
    InputRecord,
    Manifest,
    StrategyRecord,
    code_digest,
    create_run,
    discard_run,
    find_run,
    has_manifest,
    read_manifest,
    renamed_run,
    run_folders,
    settings_of,
    without_manifest,
    without_secrets,
)
from tickdeck.infrastructure.runs.inputs import (
    check_inputs,
    input_records,
    open_inputs,
    open_inputs_with_opens,
    symbols_of,
    unread_venues,
)
from tickdeck.infrastructure.runs.market_check import check_market_data
from tickdeck.infrastructure.runs.removing import remove_runs
from tickdeck.infrastructure.runs.run_overview import RunOverview, overview
from tickdeck.infrastructure.runs.strategy_states import StrategyStates

__all__ = [
    "TRADES",
    "CoreState",
    "CoreStates",
    "InputRecord",
    "Manifest",
    "RunBackup",
    "RunEnd",
    "RunFigures",
    "RunOverview",
    "StrategyRecord",
    "StrategyStates",
    "backup_run",
    "check_inputs",
    "check_market_data",
    "code_digest",
    "create_run",
    "discard_run",
    "find_run",
    "has_manifest",
    "input_records",
    "open_inputs",
    "open_inputs_with_opens",
    "overview",
    "read_end",
    "read_manifest",
    "remove_runs",
    "renamed_run",
    "run_folders",
    "settings_of",
    "symbols_of",
    "unread_venues",
    "without_manifest",
    "without_secrets",
    "write_end",
]
