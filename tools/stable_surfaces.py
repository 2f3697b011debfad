"""Compares what docs/stability.md declares stable with what it was: the `Exchange` port and the life cycles.

    python tools/stable_surfaces.py            print what is missing now or needed in addition, one line each
    python tools/stable_surfaces.py --write    add what is new to tests/golden_surfaces.json; nothing is ever removed

Exit codes: 0 if the surfaces are as stable as declared, 1 if not, 2 for wrong arguments.
"""

from __future__ import annotations

import inspect
import json
import sys
from pathlib import Path

import msgspec
from msgspec.structs import fields

from life_cycles import LIFE_CYCLES
from tickdeck.application.ports import exchange as port
from tickdeck.application.ports.exchange import ConversionExchange, Exchange, MarginExchange, PairExchange

__all__ = ["FILE", "broken", "surfaces"]

FILE = Path(__file__).parents[1] / "tests" / "golden_surfaces.json"


def surfaces() -> dict[str, list[str]]:
    """The stable surfaces as they are now: each a sorted list of lines."""
    found = {f"life cycle {name}": _arrows(name) for name in LIFE_CYCLES}
    protocols = {one.__name__: _calls(one) for one in (Exchange, PairExchange, ConversionExchange, MarginExchange)}
    named = {name: getattr(port, name) for name in port.__all__}
    values = {name: _fields(one) for name, one in named.items() if issubclass(one, msgspec.Struct)}
    return found | protocols | values


def broken(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    """What was there before and is not there now, and what is needed now and was not there before."""
    lost = [f"{name}: {line}" for name, lines in before.items() for line in lines if line not in now.get(name, [])]
    new = [(name, line) for name, lines in now.items() if name in before for line in lines if line not in before[name]]
    demands = [f"{name}: {line}, which is new" for name, line in new if not (_is_optional(line) or _is_arrow(line))]
    return lost + demands


def _is_optional(line: str) -> bool:
    return ": optional" in line


def _is_arrow(line: str) -> bool:
    return " -> " in line


def _arrows(name: str) -> list[str]:
    tables = LIFE_CYCLES[name].tables
    return sorted(
        f"{source} -> {target}{f' by {cause}' if cause else ''}"
        for cause, table in tables.items()
        for source, targets in table.items()
        for target in targets
    )


def _calls(port: type) -> list[str]:
    """A line for each parameter of each call, so that a new one with a default is no change."""
    lines: list[str] = []
    for name, call in inspect.getmembers(port, inspect.isfunction):
        if name.startswith("_"):
            continue
        lines.append(f"{'async ' if inspect.iscoroutinefunction(call) else ''}{name}")
        for parameter in inspect.signature(call).parameters.values():
            if parameter.name != "self":
                needed = "required" if parameter.default is parameter.empty else "optional"
                lines.append(f"{name}({parameter.name}): {needed}, {parameter.kind.description}")
    return sorted(lines)


def _fields(value: type[msgspec.Struct]) -> list[str]:
    """A line for each field of what a port takes or returns."""
    return sorted(f"{field.name}: {'required' if field.required else 'optional'}" for field in fields(value))


def main(words: list[str]) -> int:
    if words not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    before: dict[str, list[str]] = json.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    now = surfaces()
    faults = broken(before, now)
    print("\n".join(faults) or "everything is as stable as declared")
    if words:
        kept = {name: sorted({*before.get(name, []), *now.get(name, [])}) for name in sorted({*before, *now})}
        FILE.write_text(json.dumps(kept, indent=1) + "\n", "utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
