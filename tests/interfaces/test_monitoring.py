"""What a run serves over HTTP: figures that agree with the run, and whether it is alive and ready."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tickdeck.application.kernel import money_context
from tickdeck.bootstrap import Session, start_live_run, start_run, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import (
    CommandReceived,
    FeedConnected,
    FeedDisconnected,
    VenueCircuitChanged,
    VenueInstrumentReported,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, config_from_dict
from tickdeck.infrastructure.listening import listen_address
from tickdeck.infrastructure.runs import read_end

pytest.importorskip("prometheus_client", reason="the extra metrics is not installed")

from prometheus_client.parser import text_string_to_metric_families

from tickdeck.interfaces.monitoring import MonitoringServer, RunWatch

DOCS = Path(__file__).resolve().parents[2] / "docs"


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def samples(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """The values by name and the values of their labels, which are sorted by name."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def simulated(data: Path, **changes: Any) -> Session:
    settings: dict[str, Any] = {"strategies": (StrategyConfig(spec="market-maker"),), "duration": Decimal(20)}
    return start_run(RunConfig(**(settings | changes)), data)


def served(run: Session, ask: Callable[[str], Any], *, drive: bool = True) -> Any:
    """The result of ``ask(url of the server)``, in a thread, after the run was driven."""

    async def work() -> Any:
        watch, server = RunWatch(run), MonitoringServer("127.0.0.1", 0)
        with server.serving(watch):
            if drive:
                await run.drive(None)
            return await asyncio.to_thread(ask, server.url.removesuffix("/metrics"))

    try:
        return asyncio.run(work())
    finally:
        run.close()


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, dict[str, dict[tuple[str, ...], float]]]:
    run = simulated(tmp_path_factory.mktemp("scraped"))
    status, text = served(run, lambda url: get(f"{url}/metrics"))
    assert status == 200
    return run, samples(text)


def test_the_metrics_of_a_run_agree_with_the_run(scraped) -> None:
    run, found = scraped
    published = run.kernel.statistics().published
    portfolio = run.core.portfolio

    assert {name: value for (name,), value in found["tickdeck_events_total"].items()} == published
    assert found["tickdeck_orders_submitted_total"][()] == run.core.execution.submitted > 0
    assert found["tickdeck_order_round_trip_seconds_count"][()] > 0
    assert found["tickdeck_order_round_trip_seconds_count"][()] <= run.core.execution.submitted
    with money_context():
        assert found["tickdeck_equity"][("USDT",)] == float(portfolio.equity())
        assert found["tickdeck_pnl"][("USDT",)] == float(portfolio.pnl())
    assert found["tickdeck_position"][("BTCUSDT",)] == float(portfolio.account.position("BTCUSDT").quantity)
    assert found["tickdeck_run_info"] == {("paper", run.manifest.run_id, run.manifest.tickdeck): 1}
    assert found["tickdeck_tape_events_total"][()] == run.tape.statistics().appended


def test_the_docs_list_every_metric(scraped) -> None:
    _, found = scraped
    table, _, _ = (DOCS / "operate.md").read_text().partition("### Alerts")
    names = {name.removesuffix("_count").removesuffix("_sum").removesuffix("_bucket") for name in found}
    own = {name for name in names if name.startswith("tickdeck_") and not name.endswith("_created")}
    listed = {line.split("`")[1].partition("{")[0] for line in table.splitlines() if line.startswith("| `tickdeck_")}

    if_any = {"tickdeck_breaker_state", "tickdeck_dropped_total", "tickdeck_locked_by_others"}
    if_any |= {"tickdeck_feed_counts_total", "tickdeck_rate_limit_used_ratio"}
    assert listed == own | if_any


def test_metrics_change_nothing_in_the_record(tmp_path: Path) -> None:
    watched, alone = simulated(tmp_path / "watched", metrics=9464), simulated(tmp_path / "alone")
    served(watched, lambda url: get(f"{url}/metrics"))
    asyncio.run(alone.drive(None))
    alone.close()
    ends = [read_end(run.folder) for run in (watched, alone)]

    assert ends[0] is not None
    assert ends[1] is not None
    assert ends[0].digest == ends[1].digest
    assert verify_run(watched.folder)[0].identical


def test_a_run_is_ready_unless_it_is_halted_or_disconnected_or_its_tape_failed(tmp_path: Path, monkeypatch) -> None:
    run = simulated(tmp_path)
    watch = RunWatch(run)
    before = watch.obstacles()
    run.driver.request_stop()
    asyncio.run(run.drive(None))
    begun = watch.obstacles()
    run.kernel.publish(FeedDisconnected(feed="elsewhere", reason="gone"))
    lost = watch.obstacles()
    run.kernel.publish(FeedConnected(feed="elsewhere"))
    run.kernel.publish(CommandReceived(command="halt", reason="lunch", source="control"))
    run.kernel.publish(VenueCircuitChanged(name="binance/orders", before="closed", after="open"))
    halted = watch.obstacles()
    monkeypatch.setattr(run.tape, "_failure", "disk full")
    failed = watch.obstacles()
    monkeypatch.undo()
    run.close()

    assert before[0] == "the run has not begun, or executes its record again"
    assert begun == []
    assert lost == ["not connected: elsewhere"]
    assert len(halted) == 1
    assert "trading is halted: " in halted[0]
    assert failed[-1] == "the tape cannot be written: disk full"
    assert watch.breakers == {"binance/orders": "open"}


def test_a_run_with_something_wrong_around_it_is_not_ready_even_if_an_operator_halted_it(
    tmp_path: Path, monkeypatch
) -> None:
    run = simulated(tmp_path)
    watch = RunWatch(run)
    run.driver.request_stop()
    asyncio.run(run.drive(None))
    (symbol,) = run.manifest.symbols
    report = VenueInstrumentReported(
        symbol=symbol, base="BTC", quote="USDT", status="halt", tick_size=Decimal(1), lot_size=Decimal(1)
    )
    run.kernel.publish(CommandReceived(command="halt", reason="lunch", source="control"))
    run.kernel.publish(report)
    monkeypatch.setattr(watch, "_problems", lambda: ("the wall clock was set", "lunch"))
    monkeypatch.setattr(watch, "_stale_after", 1.0)
    monkeypatch.setattr(watch, "silence", lambda symbol: 7.6)
    halted, clock, closed, silent = watch.obstacles()
    run.close()

    assert halted == "trading is halted: lunch"
    assert clock == "the wall clock was set"
    assert symbol in closed
    assert silent == f"{symbol} has been silent for 8 s"


def test_ready_and_health_answer_with_a_status_and_a_reason(tmp_path: Path) -> None:
    run = simulated(tmp_path)

    def ask(url: str) -> list[tuple[int, str]]:
        return [get(f"{url}/{path}") for path in ("health", "ready", "metrics?x=1", "elsewhere")]

    health, ready, metrics, elsewhere = served(run, ask, drive=False)

    assert (health[0], json.loads(health[1])["alive"]) == (200, True)
    assert (ready[0], json.loads(ready[1])["ready"]) == (503, False)
    assert metrics[0] == 200
    assert elsewhere[0] == 404


def test_a_loop_that_does_not_turn_is_reported_with_the_place_where_it_is(tmp_path: Path) -> None:
    run = simulated(tmp_path)
    answered = threading.Event()
    answers: list[tuple[int, str]] = []

    def ask(url: str) -> None:
        answers.extend((get(url), get(url.replace("metrics", "health"))))
        answered.set()

    async def work() -> None:
        server = MonitoringServer("127.0.0.1", 0, patience=0.02)
        with server.serving(RunWatch(run)):
            threading.Thread(target=ask, args=(server.url,)).start()
            answered.wait(120)  # blocks the loop

    asyncio.run(work())
    run.close()

    assert [status for status, _ in answers] == [503, 503]
    assert "the event loop has not turned for 0.02 s" in answers[1][1]


def test_a_run_with_real_orders_becomes_ready_and_shows_its_feeds_and_round_trips(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("DEMO_API_KEY", "demo-key")
    monkeypatch.setenv("DEMO_API_SECRET", "demo-secret")
    limits = RiskLimits(
        max_order_notional=Decimal(20_000), max_position_notional=Decimal(900_000), max_daily_loss=Decimal(5_000)
    )

    def ask(url: str) -> tuple[bool, str]:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if get(f"{url}/ready")[0] == 200 and "round_trip_seconds_count 0" not in get(f"{url}/metrics")[1]:
                return True, get(f"{url}/metrics")[1]
        return False, get(f"{url}/ready")[1]

    async def work() -> tuple[bool, str]:
        async with open_venue(("BTCUSDT",)) as venue:
            settings = RunConfig(
                strategies=(StrategyConfig(spec="market-maker"),),
                exchange="binance",
                exchange_url=venue.url,
                live=True,
                accounts={"main": AccountConfig(exchange="binance", credentials="env:DEMO", owner="ops")},
                risk=limits,
            )
            run = start_live_run(settings, tmp_path)
            server = MonitoringServer("127.0.0.1", 0)
            with server.serving(RunWatch(run)):
                driving = asyncio.create_task(run.drive(None))
                answer = await asyncio.to_thread(ask, server.url.removesuffix("/metrics"))
                run.driver.request_stop()
                await driving
            run.close()
            return answer

    ready, text = asyncio.run(work())

    assert ready, text
    found = samples(text)
    assert found["tickdeck_feed_connected"] == {("binance",): 1, ("binance-private",): 1}
    assert found["tickdeck_order_round_trip_seconds_count"][()] > 0
    assert ("mailbox of gateway",) in found["tickdeck_queue_depth"]
    assert found["tickdeck_feed_silence_seconds"][("BTCUSDT",)] < 60
    assert found["tickdeck_feed_counts_total"][("connections",)] == 1
    assert found["tickdeck_feed_counts_total"][("received",)] > 0
    assert found["tickdeck_unknown_reports_total"][()] == 0
    assert found["tickdeck_rate_limit_used_ratio"][("main", "weight in 60 s")] > 0


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (9464, ("127.0.0.1", 9464)),
        ("9464", ("127.0.0.1", 9464)),
        ("0.0.0.0:1", ("0.0.0.0", 1)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_without_a_host_only_this_machine_can_connect(given: int | str, address: tuple[str, int]) -> None:
    assert listen_address("metrics", given) == address


@pytest.mark.parametrize("given", ["", "x", "1.5", "65536", "host:", "a b:1", "-1", "²"])
def test_an_address_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="give a port, such as 9464"):
        listen_address("metrics", given)
    with pytest.raises(ConfigError, match="give a port, such as 9464"):
        config_from_dict({"metrics": given})


def test_a_port_in_use_is_one_line_and_leaves_no_run(tickdeck) -> None:
    server = MonitoringServer("127.0.0.1", 0)
    try:
        result = tickdeck("run", "--for", 1, "--speed", "max", "--metrics", server.url.split(":")[2].split("/")[0])
    finally:
        server.close()

    assert result.exit_code == 2
    assert "cannot listen on 127.0.0.1:" in result.stderr
    assert not list(Path("tickdeck-data").glob("*/manifest.json"))


def test_run_serves_its_metrics_and_says_where(tickdeck) -> None:
    result = tickdeck("run", "--for", 1, "--speed", "max", "--metrics", 0)

    assert result.exit_code == 0
    assert "metrics: http://127.0.0.1:" in result.stderr


def test_without_the_extra_one_line_says_what_to_install(tickdeck, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.startswith("tickdeck.interfaces.monitoring")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    result = tickdeck("run", "--for", 1, "--speed", "max", "--metrics", 0)

    assert result.exit_code == 2
    assert "pip install 'tickdeck[metrics]'" in result.stderr
    assert not list(Path("tickdeck-data").glob("*/manifest.json"))
