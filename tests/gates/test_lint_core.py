"""What the lint of the core reports as a violation, and what it accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

import lint_core

REFUSED = {
    # set order
    "for x in {1, 2}: pass": "set-order",
    "for x in set(y): pass": "set-order",
    "for x in frozenset(y) - {1}: pass": "set-order",
    "a = [x for x in {i for i in y}]": "set-order",
    "a = {x: 1 for x in set(y)}": "set-order",
    "a = list({1, 2})": "set-order",
    "a = tuple(frozenset(y))": "set-order",
    "a = ','.join({'a', 'b'})": "set-order",
    "a = next(iter({1, 2}))": "set-order",
    "a = [*{1, 2}]": "set-order",
    "a, b = {1, 2}": "set-order",
    "a = sum({0.1, 0.2})": "set-order",
    "a = f'{ {1, 2} }'": "set-order",
    "a = {1, 2}.pop()": "set-order",
    "a = sum(x for x in {0.1, 0.2})": "set-order",
    "names = {1, 2}\nfor x in names: pass": "set-order",
    "def f(names: set[str]) -> None:\n    for x in names: pass": "set-order",
    "def f(names: 'frozenset[str] | None') -> None:\n    for x in names or (): pass": "set-order",
    "def f(a: dict[str, int], b: dict[str, int]) -> None:\n    for x in a.keys() & b.keys(): pass": "set-order",
    "class A:\n  def f(self):\n    for x in self.ids: pass\n  def __init__(self):\n    self.ids = set()": "set-order",
    "class A:\n    names: frozenset[str]\ndef f(a: A) -> None:\n    for x in a.names: pass": "set-order",
    "class A:\n  @property\n  def ids(self) -> set[str]: ...\n  def f(self):\n    return list(self.ids)": "set-order",
    "def names() -> set[str]: ...\nfor x in names(): pass": "set-order",
    "class A:\n    by: dict[str, set[str]]\n    def f(self, k):\n        return list(self.by[k])": "set-order",
    "def f(by: dict[str, set[str]]) -> None:\n    for k, v in by.items():\n        for x in v: pass": "set-order",
    "from collections import defaultdict\nby = defaultdict(set)\nfor x in by.get(1): pass": "set-order",
    # hashes and addresses
    "a = hash('x') % 8": "hash-order",
    "a = sorted(y, key=id)": "hash-order",
    "y.sort(key=lambda x: (x.price, id(x)))": "hash-order",
    # the clock
    "import time\nnow = time.time": "clock",
    "import time as t\na = t.perf_counter_ns()": "clock",
    "from time import monotonic_ns as n": "clock",
    "from time import *": "clock",
    "import datetime\na = datetime.datetime.now()": "clock",
    "import datetime as d\na = d.date.today()": "clock",
    "from datetime import datetime as dt\na = dt.utcnow()": "clock",
    # randomness
    "import random\nrandom.shuffle(y)": "random",
    "from random import choice": "random",
    "from random import Random\nrng = Random()": "random",
    "import random as r\nrng = r.SystemRandom()": "random",
    "import uuid\na = uuid.uuid4()": "random",
    "import secrets": "random",
    "import os\na = os.urandom(8)": "random",
}

FINE = [
    "for x in sorted({1, 2}): pass",
    "a = len({1, 2}) + max({1, 2})",
    "a = 1 in {1, 2}",
    "a = any(x > 1 for x in {1, 2})",
    "a = sorted(x for x in {1, 2})",
    "a = {x + 1 for x in {1, 2}}",
    "a = {*{1, 2}, 3}",
    "a = {1, 2} | {3}",
    "names = {1, 2}\nnames = sorted(names)\nfor x in names: pass",
    "def f(names: set[int]) -> None:\n    names.add(1)\ndef g(names: list[int]) -> None:\n    for x in names: pass",
    "class A:\n    names: set[str]\nclass B:\n    names: list[str]\n    def f(self):\n        return list(self.names)",
    "for x in {'a': 1}: pass",
    "for x in {'a': 1}.keys(): pass",
    "a = [1, 2].pop()",
    "def f(by: dict[str, set[str]]) -> None:\n    for k in by: pass",
    "class A:\n    def __hash__(self) -> int:\n        return hash((1, 2))",
    "seen = {id(x): x for x in y}",
    "from random import Random\nrng = Random(7)",
    "import random\ndef f(rng: random.Random) -> float:\n    return rng.random()",
    "from datetime import UTC, datetime\na = datetime.fromtimestamp(0, UTC)",
    "import uuid\na = uuid.uuid5(uuid.NAMESPACE_OID, 'x')",
    "from time import strptime",
]


@pytest.mark.parametrize(("source", "rule"), REFUSED.items())
def test_code_that_differs_between_runs_is_found(source: str, rule: str) -> None:
    findings = lint_core.lint("core.py", source + "\n")
    assert findings
    assert all(finding.text.endswith(f"[{rule}]") for finding in findings), findings


@pytest.mark.parametrize("source", FINE)
def test_code_that_is_the_same_in_every_run_is_accepted(source: str) -> None:
    assert lint_core.lint("core.py", source + "\n") == []


def test_a_finding_says_where_what_and_how_to_correct_it() -> None:
    (finding,) = lint_core.lint("domain/book.py", "a = 1\nb = list({1, 2})\n")
    assert str(finding) == (
        "domain/book.py:2: list() depends on the order of a set, whose order differs from run to run; "
        "use sorted(...), or a dict or list, which keep their order [set-order]"
    )


@pytest.mark.parametrize(
    "source",
    [
        "a = sum({1, 2})  # lint: allow set-order because whole numbers add up in any order\n",
        "# lint: allow set-order because whole numbers add up in any order\na = sum({1, 2})\n",
        "a = sum(  # lint: allow set-order because whole numbers add up in any order\n    {1, 2}\n)\n",
    ],
)
def test_a_waiver_with_a_reason_disables_its_rule(source: str) -> None:
    findings = lint_core.lint("core.py", source)
    assert findings == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("a = sum({1, 2})  # lint: allow set-order\n", "without a reason"),
        ("a = 1  # lint: allow set-order because of nothing\n", "there is no finding"),
        ("a = 1  # lint: allow everything because I can\n", "not a rule"),
    ],
)
def test_an_invalid_waiver_is_a_finding(source: str, said: str) -> None:
    assert any(said in finding.text for finding in lint_core.lint("core.py", source))


def test_a_waiver_of_one_rule_leaves_the_others_on() -> None:
    findings = lint_core.lint("core.py", "import time\na = time.time()  # lint: allow random because of a mix-up\n")
    assert any(finding.text.endswith("[clock]") for finding in findings)


def test_a_folder_that_is_not_a_package_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lint_core.main([str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_exit_code_says_whether_something_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for layer in lint_core.CORE:
        (tmp_path / layer).mkdir()
    assert lint_core.main([str(tmp_path)]) == 0
    (tmp_path / "domain" / "deep").mkdir()
    (tmp_path / "domain" / "deep" / "book.py").write_text("a = list({1, 2})\n")
    assert lint_core.main([str(tmp_path)]) == 1
    assert "domain/deep/book.py:1:" in capsys.readouterr().out
