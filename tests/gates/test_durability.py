"""Gate: everything that the tape acknowledged as durable is on the disk, and only in complete cascades.

A SIGKILL alone does not test this, because the operating system keeps what was written. So a writer's system calls are
traced, and replayed into a disk that loses power at any of them. The order of the calls is checked too.
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
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from many_examples import SEEDS

from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import JsonlTapeReader, SqliteTapeReader
from torturing import crash_disk as disk

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


writer = load("durable_writer")


@dataclass(frozen=True)
class Form:
    """One format of the tape: its file in a folder (none: the folder itself), and the names of its log files."""

    name: str
    file: str
    log: str

    def path(self, folder: Path) -> Path:
        return folder / self.file

    def reader(self, folder: Path) -> SqliteTapeReader | JsonlTapeReader:
        return SqliteTapeReader(self.path(folder)) if self.file else JsonlTapeReader(folder)


SQLITE = Form("sqlite", "tape.sqlite", "-wal")
JSONL = Form("jsonl", "", ".jsonl")
FORMS = pytest.mark.parametrize("form", [SQLITE, JSONL], ids=lambda form: form.name)


@functools.cache
def why_not_traced() -> str:
    """Empty if system calls can be traced here."""
    if sys.platform != "linux":
        return "not on this machine: strace is for Linux"
    if shutil.which("strace") is None:
        return "strace is not installed (apt-get install strace)"
    probe = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return "" if probe.returncode == 0 else f"not on this machine: strace may not trace: {probe.stderr.strip()}"


def traced(form: Form, folder: Path, *arguments: str, inject: str = "", status: int = 0) -> list[disk.Step]:
    """Run the writer on the tape in ``folder`` under strace. Returns its steps."""
    if reason := why_not_traced():
        pytest.skip(reason)
    output = folder.parent / "trace"
    injection = ["-e", f"inject={inject}"] if inject else []
    ran = subprocess.run(
        [*disk.STRACE, *injection, "-o", output, sys.executable, WRITER, form.path(folder), *arguments],
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


def broken_promise(
    form: Form, folder: Path, acknowledged: int, cascades: list[list[DomainEvent]], snapshot: int = 0
) -> str:
    """The problems of the tape: a missing acknowledged event, an incomplete cascade, an unreadable file, or no snapshot
    of an acknowledged version (or a later one).
    """
    try:
        with form.reader(folder) as reader:
            found = list(reader.read())
            version, state = reader.load_snapshot(writer.STREAM) or (0, writer.state(0))
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
    if version < snapshot or state != writer.state(version):
        return f"a snapshot of version {snapshot} is acknowledged, but the tape has one of {version}: {state[:20]!r}"
    if version > sum(event.stream == writer.STREAM for event in found):
        return f"the snapshot of version {version} is ahead of its stream"
    return ""


def power_cuts(
    steps: list[disk.Step],
    folder: Path,
    scratch: Path,
    instants: Iterable[int],
    lucks: tuple[disk.Luck, ...],
    seed: int,
) -> Iterator[tuple[Path, tuple[int, int], str]]:
    """The folder after a power cut at each instant (a number of steps) and for each kind of loss, the acknowledged seq
    and version of the snapshot, and a description of the case.
    """
    wanted = set(instants)
    rng = random.Random(seed)
    model = disk.Disk(folder)
    acknowledged = snapshot = 0
    for number, step in enumerate(steps):
        if step.call == "ack":
            acknowledged = step.number
        elif step.call == "snap":
            snapshot = step.number
        model.apply(step)
        if number not in wanted:
            continue
        for luck in lucks:
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            model.write_out(scratch, luck, rng)
            name = Path(step.path).name
            yield scratch, (acknowledged, snapshot), f"power cut after step {number} ({step.call} {name}), {luck}"


def problems(form: Form, cuts: Iterator[tuple[Path, tuple[int, int], str]]) -> list[str]:
    """The problems after any of the power cuts."""
    return [
        f"{case}: {problem}"
        for folder, (seq, snapshot), case in cuts
        if (problem := broken_promise(form, folder, seq, expected_events(), snapshot))
    ]


@dataclass(frozen=True)
class Run:
    """One traced run of the writer: the folder and the steps."""

    form: Form
    folder: Path
    steps: list[disk.Step]

    def cuts(
        self, scratch: Path, instants: Iterable[int], lucks: tuple[disk.Luck, ...], seed: int
    ) -> Iterator[tuple[Path, tuple[int, int], str]]:
        return power_cuts(self.steps, self.folder, scratch, instants, lucks, seed)


@pytest.fixture(scope="module", params=[SQLITE, JSONL], ids=lambda form: form.name)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    form: Form = request.param
    folder = tmp_path_factory.mktemp("run") / "tape"
    folder.mkdir()
    steps = traced(form, folder, str(CASCADES))
    assert broken_promise(form, folder, 300, expected_events()) == ""
    return Run(form, folder, steps)


def sync_call(run: Run) -> str:
    """The system call that syncs the log: ``fdatasync``, or ``fsync`` if SQLite was built like that."""
    last = [step for step in run.steps if step.call == "synced" and step.path.endswith(run.form.log)][-1]
    return last.data.decode()


def near_acknowledgements(steps: list[disk.Step]) -> set[int]:
    """The instants of each acknowledgement, and the last one before it."""
    acks = [number for number, step in enumerate(steps) if step.call in ("ack", "snap")]
    return {instant for ack in acks for instant in (ack - 1, ack) if instant >= 0}


def test_acknowledged_events_survive_a_power_cut(run: Run, tmp_path: Path) -> None:
    instants = near_acknowledgements(run.steps) | set(random.Random(1).sample(range(len(run.steps)), 400))

    assert problems(run.form, run.cuts(tmp_path / "cut", instants, ("lost", "random"), 2)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_acknowledged_events_survive_a_power_cut_at_every_step(run: Run, tmp_path: Path, seed: int) -> None:
    cuts = run.cuts(tmp_path / "cut", range(len(run.steps)), ("lost", "random", "kept"), seed)

    assert problems(run.form, cuts) == []


def test_a_writer_continues_after_a_power_cut(run: Run, tmp_path: Path) -> None:
    instants = random.Random(3).sample(range(len(run.steps)), 40)

    for folder, (acknowledged, _), case in run.cuts(tmp_path / "cut", instants, ("random",), 4):
        with writer.open_tape(run.form.path(folder)) as tape:
            assert tape.last_seq == tape.durable_seq >= acknowledged, case
            for cascade in expected_events():
                if cascade[0].seq > tape.last_seq:
                    tape.append(cascade)
        assert broken_promise(run.form, folder, 300, expected_events()) == "", case


def test_the_log_is_synced_between_a_groups_last_write_and_its_acknowledgement(run: Run) -> None:
    model = disk.Disk(run.folder)
    acknowledged, written, synced, looked_at = 0, -1, -1, 0
    for number, step in enumerate(run.steps):
        model.apply(step)
        if step.path.endswith(run.form.log):
            if step.call == "write":
                written = number
            elif step.call == "synced":
                synced = number
        if step.call == "ack" and step.number > acknowledged:
            assert acknowledged <= written < synced < number, f"ACK {step.number} at step {number}"
            ignored = ("-shm", ".lock", "-journal", ".index", ".index.part")
            assert model.unsynced(ignore=ignored) == [], f"ACK {step.number}"
            acknowledged = step.number
            looked_at += 1
    assert looked_at > CASCADES // 2


@FORMS
def test_the_simulated_disk_finds_the_loss_when_nothing_is_synced(form: Form, tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    folder.mkdir()

    steps = traced(form, folder, "20", "unsynced")

    instants = near_acknowledgements(steps)
    found = problems(form, power_cuts(steps, folder, tmp_path / "cut", instants, ("lost",), 5))
    assert len(found) > len(instants) // 2


def test_the_simulated_disk_may_keep_unsynced_data(run: Run, tmp_path: Path) -> None:
    for folder, _, _ in run.cuts(tmp_path / "cut", [len(run.steps) - 1], ("kept",), 6):
        kept = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        assert run.form.file == "" or Path(run.form.file) in kept
        assert [path for path in kept if (folder / path).read_bytes() != (run.folder / path).read_bytes()] == []


def test_a_commit_that_a_killed_writer_did_not_sync_is_synced_before_it_counts_as_durable(
    run: Run, tmp_path: Path
) -> None:
    form = run.form
    for sync in range(10, 40):  # until the kill hits between the writes of a commit and its sync
        folder = tmp_path / str(sync) / "tape"
        folder.mkdir(parents=True)
        steps = traced(form, folder, "40", inject=f"{sync_call(run)}:signal=KILL:when={sync}", status=-9)
        acknowledged = max((step.number for step in steps if step.call == "ack"), default=0)
        with form.reader(folder) as reader:
            if reader.last_seq > acknowledged:
                break
    else:
        pytest.fail("no kill left a whole commit that was not synced")

    steps += traced(form, folder, "40")

    instants = near_acknowledgements(steps)
    assert problems(form, power_cuts(steps, folder, tmp_path / "cut", instants, ("lost", "random"), 7)) == []


def test_a_failed_sync_is_never_acknowledged(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    folder.mkdir()

    steps = traced(run.form, folder, "40", inject=f"{sync_call(run)}:error=EIO:when=20+", status=1)

    acknowledged = max((step.number for step in steps if step.call == "ack"), default=0)
    assert acknowledged > 0
    instants = near_acknowledgements(steps) | {len(steps) - 1}
    assert problems(run.form, power_cuts(steps, folder, tmp_path / "cut", instants, ("lost",), 8)) == []


# -- killed for real --------------------------------------------------------------------------------------------------


def kill_after(form: Form, folder: Path, acknowledgements: int) -> tuple[int, int]:
    """Run the writer and kill it after this many acknowledgements. Returns the highest acknowledged seq and
    snapshot.
    """
    command = [sys.executable, WRITER, form.path(folder), str(CASCADES)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        told = [process.stdout.readline() for _ in range(acknowledgements)]
        process.kill()
        process.wait()
        told += process.stdout.read().splitlines()  # acknowledged before the signal arrived
    highest = {"ACK": 0, "SNAP": 0}
    for line in filter(str.strip, told):
        what, number = line.split()
        highest[what] = max(highest[what], int(number))
    return highest["ACK"], highest["SNAP"]


def killed_again_and_again(form: Form, folder: Path, times: int, seed: int) -> None:
    folder.mkdir()
    rng = random.Random(seed)
    seq = version = 0
    for _ in range(times):
        acknowledged = kill_after(form, folder, rng.randint(1, 12))
        seq, version = max(seq, acknowledged[0]), max(version, acknowledged[1])
        assert broken_promise(form, folder, seq, expected_events(), version) == ""
    assert seq
    ran = subprocess.run(
        [sys.executable, WRITER, form.path(folder), str(CASCADES)], capture_output=True, env=ENVIRONMENT, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert broken_promise(form, folder, 300, expected_events()) == ""


@FORMS
def test_a_writer_killed_ten_times_ends_with_the_same_tape(form: Form, tmp_path: Path) -> None:
    killed_again_and_again(form, tmp_path / "tape", 10, seed=1)


@pytest.mark.slow
@FORMS
@pytest.mark.parametrize("seed", range(2, 2 + SEEDS))
def test_a_writer_killed_at_many_instants_ends_with_the_same_tape(form: Form, tmp_path: Path, seed: int) -> None:
    killed_again_and_again(form, tmp_path / "tape", 10, seed=seed)


# -- full disk --------------------------------------------------------------------------------------------------------


@FORMS
def test_a_full_disk_gives_one_clear_line_and_keeps_acknowledged_events(form: Form, tmp_path: Path) -> None:
    folder = tmp_path / "tape"
    folder.mkdir()
    limit = 150_000 if form is SQLITE else 15_000  # below the length of a segment

    ran = subprocess.run(
        [sys.executable, WRITER, form.path(folder), str(CASCADES)],
        capture_output=True,
        text=True,
        # Not measured: the limit would also apply to the file of the coverage.
        env={name: value for name, value in ENVIRONMENT.items() if not name.startswith("COVERAGE")},
        check=False,
        preexec_fn=functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit)),
    )

    assert ran.returncode == 1
    assert re.fullmatch(r"TapeError: \S+tape\S*: cannot write the tape after seq \d+: .*\n", ran.stderr)
    acknowledged = int(re.findall(r"ACK (\d+)", ran.stdout)[-1])
    assert broken_promise(form, folder, acknowledged, expected_events()) == ""


# -- copies of strategies ---------------------------------------------------------------------------------------------

KEEP = """
import sys
from pathlib import Path
from tickdeck.infrastructure.strategies import load_strategy_class
from tickdeck.infrastructure.strategies.kept import keep_source
spec, folder = sys.argv[1], Path(sys.argv[2])
keep_source(folder, spec, load_strategy_class(spec))
"""


@pytest.mark.parametrize("luck", ["lost", "random"])
def test_the_copy_of_a_strategy_is_complete_or_absent_after_a_power_cut(tmp_path: Path, luck: disk.Luck) -> None:
    if reason := why_not_traced():
        pytest.skip(reason)
    source, folder, output = HERE / "gate_strategies.py", tmp_path / "run", tmp_path / "trace"
    folder.mkdir()
    subprocess.run(
        [*disk.STRACE, "-o", output, sys.executable, "-c", KEEP, f"{source}:Busy", folder], check=True, timeout=120
    )
    with output.open() as lines:
        steps = list(disk.parse(lines, folder))
    whole = source.read_bytes()

    left = set()
    for count in range(len(steps) + 1):
        platter, after = disk.Disk(folder), tmp_path / f"after-{count}"
        for step in steps[:count]:
            platter.apply(step)
        after.mkdir()
        platter.write_out(after, luck, random.Random(count))
        copies = [path for path in after.glob("code/*/*.py") if path.parent.suffix != ".part"]
        left.add(len(copies))
        assert all(copy.read_bytes() == whole for copy in copies), count
    assert left == {0, 1}
