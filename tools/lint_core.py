"""Finds code in the core that can make two runs differ, and that a general linter does not find.

    python tools/lint_core.py [PACKAGE]        PACKAGE defaults to src/tickdeck

It reads ``domain/`` and ``application/`` of the package and prints one line per finding: ``path:line: what; how to mend
[rule]``. Exit codes: 0 for no findings, 1 for findings, 2 for wrong arguments. The rules:

- ``set-order``: code depends on the order of a set (a loop, ``list()``, ``join``, unpacking, printing ...). The order
  depends on ``PYTHONHASHSEED``. ``sorted(...)``, membership, ``len``, ``any``, ``all`` and set algebra are fine.
- ``hash-order``: ``hash()`` outside ``__hash__``, and sorting by ``id()`` or ``hash()``.
- ``clock``: the wall clock, under any imported name.
- ``random``: the global ``random``, ``secrets``, random UUIDs, and a ``Random()`` without a seed.

If a line is correct despite a rule, say why, on that line or the line above: ``# lint: allow set-order because ...``. A
waiver without a reason, or without a finding, is itself a finding (``waiver``).

An expression counts as a set if it looks like one (a literal, ``set(...)``, set algebra), or if the module says so (an
annotation, an assignment, a return type), in the order of the source. Other modules are not read.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

from core_rules import RULES, CoreLint

CORE = ("domain", "application")
WAIVER = re.compile(r"#\s*lint:\s*allow\b\s*(?P<rule>[\w-]*)\s*(?:because\s+(?P<reason>\S.*))?")


class Finding(NamedTuple):
    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


class Waiver:
    """A comment that allows a finding on its line, or on the next line of code if it is alone on its line."""

    def __init__(self, line: int, covers: int, rule: str, reason: str | None) -> None:
        self.line, self.covers, self.rule, self.reason = line, covers, rule, reason
        self.used = False


def waivers_of(source: str) -> list[Waiver]:
    found: list[Waiver] = []
    pending: list[Waiver] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            match = WAIVER.match(token.string)
            if match:
                waiver = Waiver(token.start[0], token.start[0], match["rule"], match["reason"])
                found.append(waiver)
                if token.line.lstrip().startswith("#"):
                    pending.append(waiver)
        elif token.type not in (tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            for waiver in pending:
                waiver.covers = token.start[0]
            pending.clear()
    return found


def lint(path: str, source: str) -> list[Finding]:
    """The findings of one module, by line."""
    tree = ast.parse(source, path)
    visitor = CoreLint()
    visitor.visit(tree)
    visitor.findings.clear()
    visitor.scope = {}
    visitor.visit(tree)
    waivers = waivers_of(source)
    out: list[Finding] = []
    for node, rule, text in visitor.findings:
        first = getattr(node, "lineno", 1)
        lines = range(first, (getattr(node, "end_lineno", None) or first) + 1)
        waiver = next((w for w in waivers if w.rule == rule and w.covers in lines), None)
        if waiver is None:
            out.append(Finding(path, first, text))
        else:
            waiver.used = True
    for waiver in waivers:
        if waiver.rule not in RULES:
            what = f"waives {waiver.rule!r}, which is not a rule; the rules are {', '.join(RULES)}"
        elif not waiver.reason:
            what = "waives without a reason; say `because ...`"
        elif not waiver.used:
            what = f"waives {waiver.rule} but there is no finding; remove it"
        else:
            continue
        out.append(Finding(path, waiver.line, f"{what} [waiver]"))
    return sorted(set(out), key=lambda finding: (finding.line, finding.text))


def main(arguments: list[str]) -> int:
    package = Path(arguments[0] if arguments else "src/tickdeck")
    if len(arguments) > 1 or not all((package / layer).is_dir() for layer in CORE):
        print(f"lint_core: {package} is not a package with {' and '.join(CORE)}; give its folder", file=sys.stderr)
        return 2
    findings: list[Finding] = []
    for layer in CORE:
        for path in sorted((package / layer).rglob("*.py")):
            findings += lint(str(path), path.read_text(encoding="utf-8"))
    for finding in findings:
        print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
