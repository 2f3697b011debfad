"""The lint for what makes two runs of the core differ, and what a general linter does not see.

    python tools/lint_core.py [PACKAGE]        PACKAGE is src/tickdeck unless told otherwise

It reads ``domain/`` and ``application/`` of the package and prints one line a finding, ``path:line: what; how to
mend [rule]``. Exit code 0: nothing found; 1: something found; 2: the call is wrong. The rules:

- ``set-order``: something takes the order of a set (a loop, ``list()``, ``join``, unpacking, printing ...). It differs
  with ``PYTHONHASHSEED``. ``sorted(...)``, membership, ``len``, ``any``, ``all`` and set algebra are fine.
- ``hash-order``: ``hash()`` outside ``__hash__``, and sorting by ``id()`` or ``hash()``.
- ``clock``: the wall clock, under whatever name it was imported.
- ``random``: the global ``random``, ``secrets``, random uuids, and a ``Random()`` that has no seed.

Where a line is right all the same, say why, on the line or on the one above: ``# lint: allow set-order because ...``.
A waiver without a reason, or that waives nothing, is a finding itself (``waiver``).

Sets are known by how they look (literals, ``set(...)``, set algebra) and by what the module says of a name or an
attribute (an annotation, an assignment, a return type), in the order of the source; other modules are not looked into.
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
    """A comment that lets a rule off on its own line; alone on a line, on the next line of code."""

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
            what = f"waives {waiver.rule!r}, which is no rule; the rules are {', '.join(RULES)}"
        elif not waiver.reason:
            what = "waives without a reason; say `because ...`"
        elif not waiver.used:
            what = f"waives {waiver.rule} where nothing is found; take it out"
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
