"""Kills a run with real orders at random instants, resumes it, and compares it with the exchange to the last digit.

`make torture ARGS="--kills 500 --seed 7 --minutes 20"` runs this. Each case has an exchange of its own on localhost and
one run. The exchange lives on while the run is killed with SIGKILL: at any time, in a cascade, in a commit, while it
starts; now and then the exchange is killed too, or what the run did not sync is lost. After some kills the run settles
its orders, and orders, fills, positions and balances are compared, and the record is verified.

With `--per-case 0` there is one run, which grows from stretch to stretch; its memory and the exchange's must stay flat
then. `--soak 20` is such a run of twenty minutes, with three accounts, a fast market and all faults (`make soak`).

A case follows from its seed as far as timing allows: `--seed 12 --kills 10` repeats the case that a line names as seed
12. The exit code is 1 if anything differed or memory grew; the folders of cases that differ are kept.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from torturing.case import Stretch, Torture, Wanted

_SOAK: dict[str, Any] = {
    "kills": 1_000_000,
    "per_case": 0,
    "per_stretch": 4,
    "every": 15.0,
    "pause": 120,
    "speed": 5.0,
    "accounts": 3,
    "faults": "seed=7 drop_ack=0.05 drop_request=0.02 http_500=0.03 unknown_status=0.03 duplicate_fill=0.3 "
    "late_fill=0.2:800ms lost_fill=0.1 fill_before_ack=0.2:100ms stale_query=0.2:500ms disconnect_every=20s "
    "private_stream_silent=0.1:2s gap=0.005 reorder=0.005 expire_session=45s rate_limit_storm=0.005:400ms",
}
"""The options of a soak."""
_GROWTH = 1.25  # of the memory of a process, which is not flat beyond it
_TITLES = (
    "seed",
    "kills",
    "orders",
    "fills",
    "copies",
    "events",
    "s",
    "objects",
    "blocks",
    "run MB",
    "venue",
    "result",
)
_COLUMNS = "{:>5} {:>6} {:>7} {:>7} {:>7} {:>8} {:>6} {:>8} {:>8} {:>6} {:>6}  {}"


def main(arguments: Sequence[str]) -> int:
    """Run cases until the kills or the minutes are used up, or until Ctrl-C. Returns the exit code."""
    options = _options(arguments)
    until = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    place = options.folder or Path(tempfile.mkdtemp(prefix="torture-"))
    stretches: list[Stretch] = []
    print(_COLUMNS.format(*_TITLES), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        for stretch in _stretches(options, place, until):
            stretches.append(stretch)
            _show(stretch)
    print()
    for line in _summary(stretches):
        print(line)
    grown = _grown(stretches) if not options.per_case else []
    for line in grown:
        print(line)
    if differ := any(stretch.differences for stretch in stretches):
        print(f"the folders of these cases are in {place}")
    return 1 if grown or differ else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="torture", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="how many kills in all (default: 50)")
    parser.add_argument("--seed", type=int, default=1, help="of the first case; the next ones count on (default: 1)")
    parser.add_argument("--minutes", type=float, help="begin no kill after so many minutes")
    parser.add_argument("--per-stretch", type=int, default=10, help="kills between two comparisons (default: 10)")
    parser.add_argument("--per-case", type=int, default=10, help="kills of one run; 0: all of them (default: 10)")
    parser.add_argument("--jobs", type=int, default=1, help="cases at the same time (default: 1)")
    parser.add_argument("--every", type=float, default=1.5, help="the mean life of a process in seconds (default: 1.5)")
    parser.add_argument("--pause", type=int, default=250, help="ms between decisions of the strategy (default: 250)")
    parser.add_argument("--speed", type=float, default=1.0, help="of the exchange's market (default: 1)")
    parser.add_argument("--faults", help='of the exchange; "" for none (default: drawn by the seed)')
    parser.add_argument("--accounts", type=int, choices=(1, 3), help="3: two copy the first (default: by the seed)")
    parser.add_argument("--no-power-cuts", action="store_true", help="lose no unsynced data (strace is not needed)")
    parser.add_argument("--folder", type=Path, help="where the cases go (default: a temporary folder)")
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="one run for so long; options given count more")
    options = parser.parse_args(arguments)
    if options.soak:
        parser.set_defaults(**_SOAK, minutes=options.soak)
        options = parser.parse_args(arguments)
    return options


def _stretches(options: argparse.Namespace, place: Path, until: float) -> Iterator[Stretch]:
    """What comes out of the cases, ``options.jobs`` of them at the same time."""
    per_case = options.per_case or options.kills
    cases = [
        (_wanted(options, options.seed + index), min(per_case, options.kills - done))
        for index, done in enumerate(range(0, options.kills, per_case))
    ]
    if options.jobs == 1:
        for wanted, kills in cases:
            yield from _of_case(place, wanted, kills, options.per_stretch, until)
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        pending = [pool.submit(_listed, place, *case, options.per_stretch, until) for case in cases]
        for case in as_completed(pending):
            yield from case.result()


def _wanted(options: argparse.Namespace, seed: int) -> Wanted:
    return Wanted(
        seed=seed,
        every=options.every,
        pause=options.pause,
        speed=options.speed,
        faults=options.faults,
        accounts=options.accounts,
        power_cuts=not options.no_power_cuts and shutil.which("strace") is not None,
    )


def _listed(place: Path, wanted: Wanted, kills: int, per_stretch: int, until: float) -> list[Stretch]:
    return list(_of_case(place, wanted, kills, per_stretch, until))


def _of_case(place: Path, wanted: Wanted, kills: int, per_stretch: int, until: float) -> Iterator[Stretch]:
    """Torture one run, up to the first difference. Its folder goes if there is none."""
    if time.monotonic() > until:
        return
    folder, left = place / f"seed-{wanted.seed}", kills
    with Torture(folder, wanted) as case:
        while left > 0 and time.monotonic() < until:
            stretch = case.stretch(min(left, per_stretch), until=until)
            yield stretch
            left -= stretch.kills.total()
            if stretch.differences:
                return
    shutil.rmtree(folder)


def _show(stretch: Stretch) -> None:
    result = "equal" if not stretch.differences else f"{len(stretch.differences)} DIFFERENCES"
    row = (stretch.seed, sum(stretch.kills.values()), stretch.orders, stretch.fills, stretch.copies, stretch.events)
    print(
        _COLUMNS.format(
            *row,
            f"{stretch.seconds:.0f}",
            stretch.objects,
            stretch.blocks,
            f"{stretch.run_mb:.0f}",
            f"{stretch.venue_mb:.0f}",
            result,
        ),
        flush=True,
    )
    for line in (*stretch.differences[:20], *([stretch.about] if stretch.differences else ())):
        print(f"      {line}", flush=True)


def _summary(stretches: Sequence[Stretch]) -> Iterator[str]:
    kills, points, exits = Counter[str](), Counter[str](), Counter[str]()
    for stretch in stretches:
        kills += stretch.kills
        points += stretch.points
        exits += stretch.exits
    failed = sorted({stretch.seed for stretch in stretches if stretch.differences})
    yield f"{kills.total()} kills in {len(stretches)} stretches: {_counted(kills)}"
    if points:
        yield f"at a point: {_counted(points)}"
    for why, times in exits.most_common():
        yield f"{times} x ended by itself: {why}"
    last = {stretch.seed: stretch for stretch in stretches}.values()
    orders, fills, copies = (sum(getattr(each, name) for each in last) for name in ("orders", "fills", "copies"))
    yield f"{orders} orders, {fills} fills and {copies} copies compared"
    yield f"differences: {'none' if not failed else 'seeds ' + ', '.join(map(str, failed))}"


def _grown(stretches: Sequence[Stretch]) -> list[str]:
    """What always uses more memory in the last third of a long case than it ever did in the middle. In the first third
    caches fill; the exchange keeps 50,000 trades of each market, and writes snapshots of them."""
    third = len(stretches) // 3
    found: list[str] = []
    for name in ("run_mb", "venue_mb"):
        sizes = [float(getattr(stretch, name)) for stretch in stretches]
        middle, last = sizes[third : len(sizes) - third], sizes[len(sizes) - third :]
        if third and min(last) > _GROWTH * max(middle):
            found.append(f"{name} grew from {max(middle):.0f} to {min(last):.0f}")
    return found


def _counted(what: Counter[str]) -> str:
    return ", ".join(f"{times} {name}" for name, times in what.most_common())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
