"""When a snapshot of a whole run is written: after the tape has everything that it reflects on disk."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kernel_kit import ping

from tickdeck.application.kernel import Kernel
from tickdeck.bootstrap.core_snapshots import CoreSnapshotTaker
from tickdeck.infrastructure.runs import CoreStates
from tickdeck.infrastructure.tape import JsonlTape, SqliteTape

NEVER = 3_600_000


class State:
    """The state of a run, which may always be written."""

    def write(self) -> dict[str, Any]:
        return {"kernel": []}


def written(folder: Path) -> list[int]:
    return sorted(seq for seq, _ in CoreStates(folder).newest_first())


@pytest.mark.parametrize("opened", [SqliteTape, JsonlTape])
def test_a_snapshot_is_written_when_what_it_reflects_is_on_disk(tmp_path: Path, opened: Any) -> None:
    with opened(tmp_path / "tape", linger_ms=NEVER) as tape:
        kernel = Kernel(tape=tape)
        taker = CoreSnapshotTaker(
            tmp_path,
            kernel,
            tape,
            State(),  # type: ignore[arg-type]
            code={},
            place=lambda: None,
            every=2,
            clock=SimpleNamespace(monotonic_ns=lambda: 0),  # type: ignore[arg-type]
        )
        for n in range(3):
            kernel.feed(ping(n))
            taker.look()
        assert (tape.durable_seq, written(tmp_path)) == (0, [])  # and looking makes nothing durable

        tape.wait_durable(2)
        taker.look()

        assert written(tmp_path) == [2]
