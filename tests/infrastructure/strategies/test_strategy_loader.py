"""Strategies from files: neighbouring modules, errors, and the digest of their source."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tickdeck.application.strategies import EmaCross
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.strategies import load_module, load_strategy_class, source_digest

MINE = "from tickdeck import Strategy\nfrom rules import LIMIT\n\nclass Mine(Strategy):\n    limit: int = LIMIT\n"


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "rules.py").write_text("from deep.numbers import LIMIT\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "__init__.py").write_text("")
    (tmp_path / "deep" / "numbers.py").write_text("LIMIT = 5\n")
    return f"{tmp_path / 'mine.py'}:Mine"


def test_a_strategy_may_import_neighbouring_modules(mine: str) -> None:
    before = list(sys.path)

    assert load_strategy_class(mine)().parameters() == {"limit": 5}
    assert sys.path == before


def test_a_changed_neighbour_is_reloaded(mine: str, tmp_path: Path) -> None:
    load_strategy_class(mine)
    (tmp_path / "deep" / "numbers.py").write_text("LIMIT = 70\n")

    assert load_strategy_class(mine)().parameters() == {"limit": 70}


def test_neighbours_with_one_name_in_two_folders_are_separate(tmp_path: Path) -> None:
    specs = []
    for name, limit in (("a", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(MINE)
        (tmp_path / name / "rules.py").write_text(f"LIMIT = {limit}\n")
        specs.append(f"{tmp_path / name / 'mine.py'}:Mine")

    assert [load_strategy_class(spec)().parameters()["limit"] for spec in specs] == [1, 2]


@pytest.mark.parametrize("changed", ["mine.py", "rules.py", "deep/numbers.py", "deep/__init__.py"])
def test_the_digest_covers_what_the_strategy_imports_from_its_folder(mine: str, tmp_path: Path, changed: str) -> None:
    before = source_digest(load_strategy_class(mine))
    assert before == source_digest(load_strategy_class(mine)) != ""

    with (tmp_path / changed).open("a") as file:
        file.write("# changed\n")

    assert source_digest(load_strategy_class(mine)) != before


def test_the_digest_does_not_cover_what_is_not_imported(mine: str, tmp_path: Path) -> None:
    before = source_digest(load_strategy_class(mine))
    (tmp_path / "other.py").write_text("")

    assert source_digest(load_strategy_class(mine)) == before


def test_a_module_of_a_package_is_digested_with_its_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "book_of_mine"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "rules.py").write_text("import decimal\nLIMIT = 5\n")
    (package / "mine.py").write_text(MINE.replace("from rules", "from .rules"))
    (tmp_path / "decimal.py").write_text("")  # next to the package, not in it
    monkeypatch.syspath_prepend(str(tmp_path))
    before = source_digest(load_strategy_class("book_of_mine.mine:Mine"))

    (tmp_path / "decimal.py").write_text("changed = 1\n")
    assert source_digest(load_strategy_class("book_of_mine.mine:Mine")) == before
    (package / "rules.py").write_text("LIMIT = 6\n")
    assert source_digest(load_strategy_class("book_of_mine.mine:Mine")) != before


def test_a_built_in_strategy_is_digested_by_its_own_file() -> None:
    assert len(source_digest(EmaCross)) == 64


def test_a_mistake_in_the_syntax_is_reported_with_its_line_once(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\nclass (\n")

    with pytest.raises(ConfigError) as refused:
        load_strategy_class(f"{tmp_path / 'broken.py'}:Mine")

    assert str(refused.value).count("line 2") == 1


@pytest.mark.parametrize("raised", ["sys.exit(0)", "raise GeneratorExit", "raise BaseException('no Exception')"])
def test_an_error_during_loading_gives_one_line(tmp_path: Path, raised: str) -> None:
    path = tmp_path / "raises.py"
    path.write_text(f"import sys\n{raised}\n")

    with pytest.raises(ConfigError, match=r"cannot load .*raises\.py: .* \(line 2\)"):
        load_strategy_class(f"{path}:Mine")
    with pytest.raises(ConfigError, match=r"cannot load .*raises\.py: .* \(line 2\)"):
        load_module(str(path))
