"""The documentation cannot drift from the code: snippets run, and everything that can be named is named."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import msgspec
import pytest
from click.testing import CliRunner

import tickdeck
from tickdeck.application.catalogue import catalogue
from tickdeck.domain.events import event_class, registry
from tickdeck.infrastructure.config import RunConfig, load_config
from tickdeck.infrastructure.exchanges.paper import PaperConfig
from tickdeck.infrastructure.exchanges.paper.config import assumptions_of
from tickdeck.interfaces.cli import main
from tickdeck.interfaces.cli.group import COMMANDS

ROOT = Path(__file__).parent.parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


SNIPPETS = [(page, code) for page in PAGES for code in blocks(page, "python")]


@pytest.mark.parametrize(("page", "code"), SNIPPETS, ids=[f"{p.name}-{i}" for i, (p, _) in enumerate(SNIPPETS)])
def test_snippets_of_the_documentation_run(
    page: Path, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # for the files that they make
    snippet = ModuleType("snippet")  # annotations are resolved in the module of their class
    monkeypatch.setitem(sys.modules, "snippet", snippet)
    monkeypatch.setattr(registry, "_registry", dict(registry._registry))  # its classes disappear with it

    exec(compile(code, str(page), "exec"), snippet.__dict__)


def test_the_readme_shows_a_strategy_and_the_bus() -> None:
    assert len(blocks(ROOT / "README.md", "python")) >= 2


def test_every_event_type_is_in_the_catalogue_of_the_documentation_with_its_line() -> None:
    page = (ROOT / "docs" / "events.md").read_text("utf-8")
    rows = {e.event_type: (e.event_class, e.line.replace("``", "`"), e.group) for e in catalogue()}
    rows = {name: row for name, row in rows.items() if event_class(name).__module__.startswith("tickdeck.domain.")}

    missing = [f"| `{name}` | `{cls}` | {line} |" for name, (cls, line, _) in rows.items()]
    missing = [row for row in missing if row not in page]

    assert rows
    assert missing == []
    assert [group for _, _, group in rows.values() if f"\n## {group}\n" not in page] == []


def test_every_event_types_line_names_its_source() -> None:
    ours = [e for e in catalogue() if event_class(e.event_type).__module__.startswith("tickdeck.domain.")]
    assert [e.event_type for e in ours if "Emitted by " not in e.line and "An input of " not in e.line] == []


def test_the_wiring_diagram_is_made_from_the_engines() -> None:
    sys.path.insert(0, str(ROOT / "tools"))
    wiring = importlib.import_module("wiring")
    page = (ROOT / "docs" / "design.md").read_text("utf-8")

    assert wiring.in_page(page) == page, "run `python tools/wiring.py --write`"
    assert 'strategy -->|"strategy.decision"| risk' in page
    with pytest.raises(ValueError, match="no wiring diagram"):
        wiring.in_page("nothing here")


def test_the_documented_catalogue_has_no_removed_event_types() -> None:
    page = (ROOT / "docs" / "events.md").read_text("utf-8")

    named = re.findall(r"^\| `([a-z_.]+)` \| `(\w+)` \|", page, re.MULTILINE)

    assert [name for name, cls in named if getattr(event_class(name), "__name__", None) != cls] == []


def test_the_fields_in_the_documentation_are_those_of_the_events() -> None:
    event_docs = importlib.import_module("event_docs")
    page = (ROOT / "docs" / "events.md").read_text("utf-8")

    assert event_docs.in_page(page) == page, "run `python tools/event_docs.py --write`"
    assert "| `price` | decimal, as text | required |" in page
    with pytest.raises(ValueError, match="there is no line"):
        event_docs.in_page("nothing here")


def test_the_page_of_the_paper_venue_has_its_assumptions() -> None:
    page = (ROOT / "docs" / "paper-venue.md").read_text("utf-8")

    assert [sentence for sentence in assumptions_of(PaperConfig()) if f"- {sentence}\n" not in page] == []


def test_the_ladder_of_the_strategies_page_takes_its_profit(shared: Path, tmp_path: Path) -> None:
    (ladder,) = (code for code in blocks(ROOT / "docs" / "strategies.md", "python") if "class Ladder" in code)
    (tmp_path / "ladder.py").write_text(ladder)
    capture = shared / "market-data" / "binance-spot-BTCUSDT-20240808.raw.gz"

    result = CliRunner().invoke(
        main,
        [
            *("backtest", "--tape", str(capture), "--data", str(tmp_path / "data"), "--json"),
            *("--strategy", f"{tmp_path}/ladder.py:Ladder"),
        ],
        prog_name="tickdeck",
    )

    figures = json.loads(result.stdout)
    assert (result.exit_code, figures["refused"]) == (0, 0)
    assert figures["trades"] > 0
    assert figures["win_rate"] == 1


def test_the_configuration_of_the_documentation_loads(tmp_path: Path) -> None:
    toml, *parts = blocks(ROOT / "docs" / "configuration.md", "toml")
    file = tmp_path / "run.toml"
    file.write_text(toml)
    for part in parts:  # each shows one table
        (tmp_path / "part.toml").write_text(part)
        load_config(tmp_path / "part.toml")

    config = load_config(file)

    assert config.symbols == ("BTCUSDT",)
    assert str(config.risk.price_band) == "0.05"


def test_the_documentation_has_each_setting_of_a_run() -> None:
    names = ("configuration", "triggers", "copy-trading", "accounts", "binance")  # the first one links to the others
    pages = {name: (ROOT / "docs" / f"{name}.md").read_text("utf-8") for name in names}
    text = "\n".join(pages.values())
    settings = set(settings_of(RunConfig))
    missing = [f"{table}.{key}" for table, key in settings if not re.search(rf"(?<!\w){key}(?!\w)", text)]
    own = [key for table, key in settings if table == "RunConfig"]

    assert sorted(missing) == ["RunConfig.stated_limits"]  # which the reader of the file fills in
    assert [key for key in own if not re.search(rf"(?<!\w){key}(?!\w)", pages["configuration"])] == ["stated_limits"]


def settings_of(struct: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Each setting as its table and its key, also those of the tables within it."""
    for field in msgspec.structs.fields(struct):
        yield struct.__name__, field.encode_name
        for inner in (field.type, *get_args(field.type)):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from settings_of(inner)


def test_the_service_of_the_operations_page_has_a_configuration_and_a_command_that_exist(tmp_path: Path) -> None:
    page = ROOT / "docs" / "operate.md"
    (toml, archive), (unit, _) = blocks(page, "toml"), blocks(page, "ini")
    (tmp_path / "maker.toml").write_text(f"{toml}\n{archive}")
    (started,) = re.findall(r"^ExecStart=\S+/tickdeck (.+)$", unit, re.MULTILINE)
    words = started.replace("CONFIG", str(tmp_path)).split()

    config = load_config(tmp_path / "maker.toml")
    result = CliRunner().invoke(main, [*words, "--help"], prog_name="tickdeck")

    assert (config.live, config.metrics, config.archive.kept) == (True, 9464, "7d")
    assert result.exit_code == 0


def test_links_between_pages_work() -> None:
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]

    assert broken == []


def anchors(page: Path) -> set[str]:
    """The anchors of the headings of ``page``, as GitHub makes them."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_links_to_headings_work() -> None:
    broken = [
        f"{page.relative_to(ROOT)} -> {target}#{anchor}"
        for page in PAGES
        for target, anchor in re.findall(r"\]\(([^)#:]*)#([^)]+)\)", page.read_text("utf-8"))
        if anchor not in anchors(page.parent / target if target else page)
    ]

    assert broken == []


def test_the_index_names_every_page_once() -> None:
    index = (ROOT / "docs" / "README.md").read_text("utf-8")

    listed = re.findall(r"^\| \[[^]]+\]\(([\w-]+\.md)\) \| \S", index, re.MULTILINE)

    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md")
    assert "](decisions/README.md)" in index


def test_every_page_begins_with_what_it_is_for() -> None:
    firsts = {page: page.read_text("utf-8").split("\n\n")[1].strip() for page in PAGES if page.name != "CHANGELOG.md"}

    assert [page.name for page, first in firsts.items() if not re.match(r"(?!```)[A-Z*`]", first)] == []


def test_the_index_of_decisions_has_all_in_order_by_their_titles() -> None:
    folder = ROOT / "docs" / "decisions"
    pages = sorted(folder.glob("0*.md"))
    titles = [page.read_text("utf-8").splitlines()[0].removeprefix("# ") for page in pages]

    rows = [f"| [{title[:4]}]({page.name}) | {title[5:]} |" for title, page in zip(titles, pages, strict=True)]

    assert [title[:4] for title in titles] == [page.name[:4] for page in pages]
    index = (folder / "README.md").read_text("utf-8")
    assert re.findall(r"^(\| \[\d.*\|) (?:in force|revoked|replaced)[^|]* \|$", index, re.MULTILINE) == rows
    assert len(re.findall(r"^\| \[\d", index, re.MULTILINE)) == len(rows)


def test_the_glossary_is_in_alphabetical_order_and_linked_where_its_terms_begin() -> None:
    terms = re.findall(r"^\| ([^|]+?) \|", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE)
    names = [term.strip("`").lower() for term in terms if term not in ("term", "---")]

    assert names == sorted(names)
    assert {"tape", "edge", "lane", "ingress", "cascade", "proof"} <= set(names)
    for page in ("README.md", "docs/bus.md", "docs/cli.md", "docs/proving-a-bus.md", "docs/replay.md"):
        assert "glossary.md)" in (ROOT / page).read_text("utf-8")


def test_the_public_names_are_pinned() -> None:
    assert tickdeck.__all__ == sorted(tickdeck.__all__)
    assert [name for name in tickdeck.__all__ if not hasattr(tickdeck, name)] == []
    for name in ("InMemoryEventBus", "Strategy", "DomainEvent", "TradeEvent", "TickdeckError", "Kernel"):
        assert name in tickdeck.__all__


def test_every_command_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")

    assert COMMANDS
    assert [name for name in COMMANDS if f"`tickdeck {name}`" not in page] == []


def test_the_design_names_every_room_and_only_files_that_exist() -> None:
    package = ROOT / "src" / "tickdeck"
    page = (ROOT / "docs" / "design.md").read_text("utf-8")
    rooms = sorted(
        folder.parent.relative_to(package)
        for layer in ("application", "domain", "infrastructure", "interfaces")
        for folder in (package / layer).glob("*/__init__.py")
    )
    named = re.findall(r"`((?:application|domain|infrastructure|interfaces|bootstrap)/[\w/]+\.py)`", page)

    assert [str(room) for room in rooms if f"{room.name}/" not in page] == []
    assert len(named) > 10
    assert [path for path in named if not (package / path).is_file()] == []
