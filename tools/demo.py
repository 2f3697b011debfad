"""A venue and a run that meet: an exchange on localhost in one process, `tickdeck run` against it in another.

`make demo` runs this. Options are those of `tickdeck run`, such as `--for 30` or `--strategy market-maker`.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence

TICKDECK = [sys.executable, "-m", "tickdeck"]


def main(options: Sequence[str]) -> int:
    """Start both, wait until the run ends, and stop the venue. Returns the exit code of the run."""
    # The venue has a process group of its own: Ctrl-C in the terminal reaches the run, and then the venue is stopped.
    command = [*TICKDECK, "venue", "--port", "0", "--seed", "7", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as venue:  # noqa: S603
        try:
            return _run_against(venue, options)
        finally:
            venue.terminate()


def _run_against(venue: subprocess.Popen[str], options: Sequence[str]) -> int:
    assert venue.stdout is not None
    line = venue.stdout.readline()
    if not line:
        return venue.wait()  # it has said why on stderr
    url, admin = (json.loads(line)[name] for name in ("url", "admin"))
    print(f"1. An exchange listens on {url}, and other traders make a market of BTCUSDT.", flush=True)
    print("2. A strategy trades on that market, with orders on paper. Ctrl-C stops both.\n", flush=True)
    command = [*TICKDECK, "run", "--exchange", "binance", "--url", url, "--symbol", "BTCUSDT", *options]
    if "--strategy" not in options:
        command += ["--strategy", "ema-cross", "--param", "fast=3", "--param", "slow=8"]
    signal.signal(signal.SIGINT, lambda *_: None)  # the run gets it too, and says how it ended
    code = subprocess.Popen(command).wait()  # noqa: S603 (our own options)
    with urllib.request.urlopen(f"{admin}/state", timeout=10) as answer:  # noqa: S310 (http, to localhost)
        state = json.load(answer)
    print(f"\nThe exchange answered {state['requests']:,} requests. It is stopped.")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
