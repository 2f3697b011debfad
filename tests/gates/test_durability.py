"""Gate: everything that the tape acknowledged as durable is on the disk, and only whole cascades are.

A SIGKILL alone does not test this, since the operating system keeps what was written. So a writer's system calls are
traced, and replayed into a disk that loses power at any of them; and the order of the calls is looked at.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import SqliteTape, SqliteTapeReader

HERE = Path(__file__).resolve().parent
WRITER = HERE / "durable_writer.py"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(HERE.parents[1] / "src")}
CASCADES = 100


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


disk = load("crash_disk")
writer = load("durable_writer")


@functools.cache
def why_not_traced() -> str:
    """Empty where system calls can be traced here."""
    if sys.platform != "linux":
        return "not on this machine: strace is for Linux"
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"not on this machine: strace may not trace: {probe.stderr.strip()}"


def traced(folder: Path, *arguments: str, inject: str = "", status: int = 0) -> list[disk.Step]:
    """Run the writer on ``folder/tape.sqlite`` under strace; the steps that it took."""
    if reason := why_not_traced():
        pytest.skip(reason)
    output = folder.parent / "trace"
    injection = ["-e", f"inject={inject}"] if inject else []
    ran = subprocess.run(
        [*disk.STRACE, *injection, "-o", output, sys.executable, WRITER, folder / "tape.sqlite", *arguments],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
        timeout=120,
    )
    assert ran.returncode == status, ran.stderr
    with output.open() as lines:
        return list(disk.parse(lines, folder))


def expected_events(count: int = CASCADES) -> list[list[DomainEvent]]:
    return writer.cascades(count)


def broken_promise(path: Path, acknowledged: int, cascades: list[list[DomainEvent]]) -> str:
    """What is wrong with the tape: an acknowledged event that is missing, a part of a cascade, an unreadable file."""
    try:
        with SqliteTapeReader(path) as reader:
            found = list(reader.read())
    except TapeError as error:
        return "" if acknowledged == 0 else f"unreadable though {acknowledged} is acknowledged: {error}"
    whole = 0
    for cascade in cascades:
        if whole == len(found):
            break
        if found[whole : whole + len(cascade)] != cascade:
            return f"not the whole cascade from seq {cascade[0].seq}: the tape ends with seq {found[-1].seq}"
        whole += len(cascade)
    if whole < acknowledged:
        return f"acknowledged up to {acknowledged}, but the tape ends with seq {whole}"
    return ""


def power_cuts(
    steps: list[disk.Step],
    folder: Path,
    scratch: Path,
    instants: Iterable[int],
    lucks: tuple[disk.Luck, ...],
    seed: int,
) -> Iterator[tuple[Path, int, str]]:
    """The tape after a power cut at each instant (a number of steps) and for each kind of luck, what was acknowledged
    until then, and words for the case."""
    wanted = set(instants)
    rng = random.Random(seed)
    model = disk.Disk(folder)
    acknowledged = 0
    for number, step in enumerate(steps):
        if step.call == "ack":
            acknowledged = step.number
        model.apply(step)
        if number not in wanted:
            continue
        for luck in lucks:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            model.write_out(scratch, luck, rng)
            name = Path(step.path).name
            yield scratch / "tape.sqlite", acknowledged, f"power cut after step {number} ({step.call} {name}), {luck}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[disk.Step]]:
    """One traced run of the writer: the folder and the steps."""
    folder = tmp_path_factory.mktemp("run") / "tape"
    folder.mkdir()
    steps = traced(folder, str(CASCADES))
    assert broken_promise(folder / "tape.sqlite", 300, expected_events()) == ""
    return folder, steps


def sync_call(steps: list[disk.Step]) -> str:
    """The system call with which this SQLite syncs its log: ``fdatasync``, or ``fsync`` where it was built so."""
    return next(step.data.decode() for step in steps if step.call == "synced" and step.path.endswith("-wal"))


def near_acknowledgements(steps: list[disk.Step]) -> set[int]:
    """The instants of each acknowledgement, and the last before it."""
    acks = [number for number, step in enumerate(steps) if step.call == "ack"]
    return {instant for ack in acks for instant in (ack - 1, ack) if instant >= 0}


def test_what_was_acknowledged_survives_a_power_cut(run: tuple[Path, list[disk.Step]], tmp_path: Path) -> None:
    folder, steps = run
    instants = near_acknowledgements(steps) | set(random.Random(1).sample(range(len(steps)), 400))

    broken = [
        f"{case}: {problem}"
        for path, acknowledged, case in power_cuts(steps, folder, tmp_path / "cut", instants, ("lost", "random"), 2)
        if (problem := broken_promise(path, acknowledged, expected_events()))
    ]

    assert broken == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_survives_a_power_cut_at_every_step(
    run: tuple[Path, list[disk.Step]], tmp_path: Path, seed: int
) -> None:
    folder, steps = run
    cuts = power_cuts(steps, folder, tmp_path / "cut", range(len(steps)), ("lost", "random", "kept"), seed)

    broken = [
        f"{case}: {problem}"
        for path, acknowledged, case in cuts
        if (problem := broken_promise(path, acknowledged, expected_events()))
    ]

    assert broken == []


def test_a_writer_goes_on_after_a_power_cut(run: tuple[Path, list[disk.Step]], tmp_path: Path) -> None:
    folder, steps = run
    instants = random.Random(3).sample(range(len(steps)), 12)

    for path, acknowledged, case in power_cuts(steps, folder, tmp_path / "cut", instants, ("random",), 4):
        with SqliteTape(path) as tape:
            assert tape.last_seq == tape.durable_seq >= acknowledged, case
            for cascade in expected_events():
                if cascade[0].seq > tape.last_seq:
                    tape.append(cascade)
        assert broken_promise(path, 300, expected_events()) == "", case


def test_the_log_is_synced_between_a_groups_last_write_and_its_acknowledgement(
    run: tuple[Path, list[disk.Step]],
) -> None:
    folder, steps = run
    model = disk.Disk(folder)
    acknowledged, written, synced, looked_at = 0, -1, -1, 0
    for number, step in enumerate(steps):
        model.apply(step)
        if step.path.endswith("-wal"):
            if step.call == "write":
                written = number
            elif step.call == "synced":
                synced = number
        if step.call == "ack" and step.number > acknowledged:
            assert acknowledged <= written < synced < number, f"ACK {step.number} at step {number}"
            assert model.unsynced(ignore=("-shm", ".lock", "-journal")) == [], f"ACK {step.number}"
            acknowledged = step.number
            looked_at += 1
    assert looked_at > CASCADES // 2


def test_the_simulated_disk_finds_the_loss_when_nothing_is_synced(tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    folder.mkdir()

    steps = traced(folder, "20", "OFF")

    cuts = power_cuts(steps, folder, tmp_path / "cut", near_acknowledgements(steps), ("lost",), 5)
    problems = [broken_promise(path, acknowledged, expected_events()) for path, acknowledged, _ in cuts]
    assert sum(bool(problem) for problem in problems) > len(problems) // 2


def test_the_simulated_disk_keeps_what_was_written_when_it_is_lucky(
    run: tuple[Path, list[disk.Step]], tmp_path: Path
) -> None:
    folder, steps = run

    for path, _, _ in power_cuts(steps, folder, tmp_path / "cut", [len(steps) - 1], ("kept",), 6):
        assert path.read_bytes() == (folder / path.name).read_bytes()


def test_a_commit_that_a_killed_writer_did_not_sync_is_synced_before_it_counts_as_durable(
    run: tuple[Path, list[disk.Step]], tmp_path: Path
) -> None:
    for sync in range(10, 30):  # until the kill comes between the writes of a commit and its sync
        folder = tmp_path / str(sync) / "tape"
        folder.mkdir(parents=True)
        steps = traced(folder, "40", inject=f"{sync_call(run[1])}:signal=KILL:when={sync}", status=-9)
        acknowledged = max((step.number for step in steps if step.call == "ack"), default=0)
        with SqliteTapeReader(folder / "tape.sqlite") as reader:
            if reader.last_seq > acknowledged:
                break
    else:
        pytest.fail("no kill left a whole commit that was not synced")

    steps += traced(folder, "40")

    cuts = power_cuts(steps, folder, tmp_path / "cut", near_acknowledgements(steps), ("lost", "random"), 7)
    broken = [
        f"{case}: {problem}"
        for path, acknowledged, case in cuts
        if (problem := broken_promise(path, acknowledged, expected_events()))
    ]
    assert broken == []


def test_a_failed_sync_is_never_acknowledged(run: tuple[Path, list[disk.Step]], tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    folder.mkdir()

    steps = traced(folder, "40", inject=f"{sync_call(run[1])}:error=EIO:when=20+", status=1)

    acknowledged = max((step.number for step in steps if step.call == "ack"), default=0)
    assert acknowledged > 0
    cuts = power_cuts(steps, folder, tmp_path / "cut", near_acknowledgements(steps) | {len(steps) - 1}, ("lost",), 8)
    assert [problem for path, seq, _ in cuts if (problem := broken_promise(path, seq, expected_events()))] == []


# -- killed for real --------------------------------------------------------------------------------------------------


def kill_after(path: Path, acknowledgements: int) -> int:
    """Run the writer, kill it after so many acknowledgements; the last seq that it acknowledged."""
    command = [sys.executable, WRITER, path, str(CASCADES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        for _ in range(acknowledgements):
            if not process.stdout.readline():
                break
        process.kill()
        process.wait()
        rest = process.stdout.read()  # acknowledged while the signal was under way
    with SqliteTapeReader(path) as reader:
        last = reader.last_seq
    for line in rest.splitlines():
        assert last >= int(line.split()[1])
    return last


def killed_again_and_again(path: Path, times: int, seed: int) -> None:
    rng = random.Random(seed)
    reached = 0
    for _ in range(times):
        last = kill_after(path, rng.randint(1, 12))
        assert last >= reached, "a later kill took events that an earlier one left"
        assert broken_promise(path, last, expected_events()) == ""
        reached = last
    ran = subprocess.run(
        [sys.executable, WRITER, path, str(CASCADES)], capture_output=True, env=ENVIRONMENT, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert broken_promise(path, 300, expected_events()) == ""


def test_a_writer_killed_ten_times_ends_with_the_tape_of_one_left_alone(tmp_path: Path) -> None:
    killed_again_and_again(tmp_path / "tape.sqlite", 10, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_writer_killed_at_many_instants_ends_with_the_tape_of_one_left_alone(tmp_path: Path, seed: int) -> None:
    killed_again_and_again(tmp_path / "tape.sqlite", 10, seed=seed)


# -- no room ----------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_one_clear_line_and_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "tape.sqlite"

    ran = subprocess.run(
        [sys.executable, WRITER, path, str(CASCADES)],
        capture_output=True,
        text=True,
        # Not measured: the limit would hit the file of the coverage as well.
        env={name: value for name, value in ENVIRONMENT.items() if not name.startswith("COVERAGE")},
        check=False,
        preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (150_000, 150_000)),
    )

    assert ran.returncode == 1
    assert re.fullmatch(r"TapeError: \S+tape\.sqlite: cannot write the tape after seq \d+: .*\n", ran.stderr)
    acknowledged = int(ran.stdout.splitlines()[-1].split()[1])
    assert broken_promise(path, acknowledged, expected_events()) == ""
