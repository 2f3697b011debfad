"""A venue and a run that trade with each other: an exchange on localhost, and `tickdeck run` with real orders there.

`make demo` runs this. The venue plays the recorded market data of `--tape FILE`, `--speed N` times as fast; without a
tape it simulates a market. All other options are those of `tickdeck run`, such as `--for 30` or
`--strategy market-maker`.

Both end with this program, however it ends: by Ctrl-C, by SIGTERM or SIGHUP, or (on Linux) by SIGKILL.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TICKDECK = [sys.executable, "-m", "tickdeck"]
CONFIG = """\
exchange = "binance"
exchange_url = "{url}"
live = true

[risk]
max_order_notional = 50_000
max_position_notional = 1_000_000
max_daily_loss = 10_000

[accounts.main]
exchange = "binance"
credentials = "env:DEMO"
owner = "demo"
"""


def main(arguments: Sequence[str]) -> int:
    """Start both, wait until the run ends, and stop the venue. Returns the exit code of the run."""
    parser = argparse.ArgumentParser("make demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--tape", action="append", default=[], metavar="FILE")
    parser.add_argument("--speed", default="1", metavar="N")
    chosen, options = parser.parse_known_args(arguments)
    command = [*TICKDECK, "venue", "--port", "0", "--seed", "7", "--json", "--speed", chosen.speed]
    for tape in chosen.tape:
        command += ["--tape", tape]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda caught, _: sys.exit(128 + caught))  # ends what was started, on the way out
    # The venue has a process group of its own: Ctrl-C in the terminal reaches the run, and then the venue is stopped.
    with (
        tempfile.TemporaryDirectory() as folder,
        _started(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as venue,
    ):
        return _run_against(venue, Path(folder) / "demo.toml", options, chosen.tape)


@contextmanager
def _started(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with this block, and with this process."""
    process = subprocess.Popen(command, preexec_fn=_end_with_parent(), **options)  # noqa: S603 (one thread)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """What a new process calls to get SIGTERM when its parent dies. Only Linux has it."""
    if sys.platform != "linux":
        return None
    prctl, set_death_signal = ctypes.CDLL(None).prctl, 1  # PR_SET_PDEATHSIG of <linux/prctl.h>
    return lambda: prctl(set_death_signal, signal.SIGTERM)


def _run_against(venue: subprocess.Popen[str], config: Path, options: Sequence[str], tapes: Sequence[str]) -> int:
    assert venue.stdout is not None
    line = venue.stdout.readline()
    if not line:
        return venue.wait()  # it has said why on stderr
    address = json.loads(line)
    config.write_text(CONFIG.format(url=address["url"]))
    market = f"recorded traders of {', '.join(Path(tape).name for tape in tapes)}" if tapes else "other traders"
    print(
        f"1. An exchange listens on {address['url']}, and {market} trade {', '.join(address['symbols'])}.", flush=True
    )
    print("2. A strategy trades on that market and sends its orders there. Ctrl-C stops both.\n", flush=True)
    command = [*TICKDECK, "run", "--config", str(config), *options]
    if "--symbol" not in options:
        command += ["--symbol", address["symbols"][0]]
    if "--strategy" not in options:
        command += ["--strategy", "ema-cross", "--param", "fast=3", "--param", "slow=8"]
    keys = {"DEMO_API_KEY": address["key"], "DEMO_API_SECRET": address["secret"]}
    signal.signal(signal.SIGINT, lambda *_: None)  # the run gets it too, and says how it ended
    # Its hint would be to resume the run, which needs this exchange.
    with _started(command, env=os.environ | keys | {"TICKDECK_HINT": "0"}) as run:
        code = run.wait()
    with urllib.request.urlopen(f"{address['admin']}/state", timeout=10) as answer:  # noqa: S310 (http, to localhost)
        state = json.load(answer)
    fills = state["fills"]
    print(f"\nThe exchange says: {len(state['orders'])} orders, {len(fills)} fills. It is stopped.")
    print("The run needs it, and cannot be resumed. `tickdeck verify last` proves what was recorded.")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
