"""The rules of ``lint_core``: a visitor that collects the findings of one module."""

from __future__ import annotations

import ast
from collections import ChainMap
from collections.abc import Iterable, MutableMapping

RULES = ("set-order", "hash-order", "clock", "random")

SET, MAP_OF_SETS = "set", "map of sets"
"""The kinds of expressions. All others have the kind ``None``."""

SET_NAMES = {"set", "frozenset", "Set", "FrozenSet", "AbstractSet", "MutableSet"}
MAP_NAMES = {"dict", "Dict", "defaultdict", "DefaultDict", "OrderedDict", "Mapping", "MutableMapping"}
WRAPPERS = {"ClassVar", "Final", "Annotated", "Optional"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference", "copy"}
ORDER_TAKERS = {
    "list", "tuple", "iter", "enumerate", "zip", "map", "filter", "sum", "str", "repr", "deque", "chain", "islice",
}  # fmt: skip
ORDER_TAKING_METHODS = {"join", "extend", "extendleft", "fromkeys", "writelines"}
ORDER_FREE = {"sorted", "set", "frozenset", "any", "all", "len", "min", "max"}
SORTERS = {"sorted", "min", "max", "sort", "nsmallest", "nlargest", "insort", "bisect"}

DATETIME_CLOCKS = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
}
TIME_PURE = {"struct_time", "strptime", "mktime", "timezone", "altzone", "tzname", "daylight"}
RANDOM_PURE = {"Random"}
UUID_PURE = {"UUID", "uuid3", "uuid5", "NAMESPACE_DNS", "NAMESPACE_OID", "NAMESPACE_URL", "NAMESPACE_X500", "SafeUUID"}

MEND = {
    "set-order": "use sorted(...), or a dict or list, which keep their order",
    "hash-order": "order by a value from the data, such as an id",
    "clock": "take the time from the event or the clock port",
    "random": "use the seeded random.Random that is passed in; ids come from their cause",
}


def annotated(node: ast.expr | None) -> str | None:
    """The kind that an annotation declares."""
    match node:
        case ast.Constant(value=str(text)):
            return annotated(ast.parse(text, mode="eval").body)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return annotated(left) or annotated(right)
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return SET if name in SET_NAMES else None
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            if name in SET_NAMES:
                return SET
            parts = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if name in WRAPPERS:
                return annotated(parts[0])
            if name in MAP_NAMES and annotated(parts[-1]) == SET:
                return MAP_OF_SETS
    return None


class CoreLint(ast.NodeVisitor):
    """Visits a module in the order of its source. Run it twice: the first pass collects the kinds of attributes."""

    def __init__(self) -> None:
        self.findings: list[tuple[ast.AST, str, str]] = []
        self.imports: dict[str, str] = {}
        self.attributes: dict[tuple[str, str], str | None] = {}  # (class, attribute) -> kind
        self.returns: dict[str, str] = {}  # function or method -> kind
        self.scope: MutableMapping[str, str | None] = {}
        self.classes: list[str] = []
        self.functions: list[str] = []
        self.free: set[int] = set()  # generators whose consumer does not depend on the order

    def found(self, node: ast.AST, rule: str, what: str, mend: str = "") -> None:
        self.findings.append((node, rule, f"{what}; {mend or MEND[rule]} [{rule}]"))

    # -- what an expression is --

    def kind(self, node: ast.expr | None) -> str | None:
        match node:
            case ast.Set() | ast.SetComp():
                return SET
            case ast.Name(id=name):
                return self.scope.get(name)
            case ast.NamedExpr(value=value) | ast.Await(value=value):
                return self.kind(value)
            case ast.IfExp(body=one, orelse=other):
                return self.kind(one) or self.kind(other)
            case ast.BoolOp(values=values):
                return next((kind for kind in map(self.kind, values) if kind), None)
            case ast.BinOp(op=ast.BitOr() | ast.BitAnd() | ast.Sub() | ast.BitXor(), left=left, right=right):
                return SET if SET in (self.kind(left), self.kind(right)) or is_keys(left) or is_keys(right) else None
            case ast.Attribute(value=owner, attr=name):
                return self.attribute(owner, name)
            case ast.Subscript(value=value):
                return SET if self.kind(value) == MAP_OF_SETS else None
            case ast.Call():
                return self.result(node)
        return None

    def attribute(self, owner: ast.expr, name: str) -> str | None:
        if isinstance(owner, ast.Name) and owner.id in ("self", "cls") and self.classes:
            here = (self.classes[-1], name)
            if here in self.attributes:
                return self.attributes[here]
        kinds = {kind for (_, other), kind in self.attributes.items() if other == name}
        return kinds.pop() if len(kinds) == 1 else None

    def result(self, call: ast.Call) -> str | None:
        match call.func:
            case ast.Name(id="set" | "frozenset"):
                return SET
            case ast.Name(id="defaultdict") | ast.Attribute(attr="defaultdict"):
                factory = call.args[0] if call.args else None
                return MAP_OF_SETS if isinstance(factory, ast.Name) and factory.id in ("set", "frozenset") else None
            case ast.Attribute(value=owner, attr=name):
                owned = self.kind(owner)
                if owned == SET and name in SET_METHODS:
                    return SET
                if owned == MAP_OF_SETS and name in ("get", "setdefault", "pop"):
                    return SET
                return self.returns.get(name) if owned is None else None
            case ast.Name(id=name):
                return self.returns.get(name)
        return None

    # -- names, in the order of the source --

    def bind(self, target: ast.expr, kind: str | None) -> None:
        match target:
            case ast.Name(id=name):
                self.scope[name] = kind
                if self.classes and not self.functions:
                    self.attributes[self.classes[-1], name] = kind
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if self.classes:
                key = (self.classes[-1], name)
                self.attributes[key] = self.attributes.get(key) or kind
            case ast.Tuple(elts=targets) | ast.List(elts=targets):
                for element in targets:
                    self.bind(element, None)

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        kind = self.kind(node.value)
        for target in node.targets:
            if kind == SET and isinstance(target, ast.Tuple | ast.List):
                self.found(node, "set-order", "unpacks a set, whose order differs from run to run")
            self.bind(target, kind)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)
        self.bind(node.target, annotated(node.annotation))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self.bind(node.target, self.kind(node.value))

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        functions, self.functions = self.functions, []
        self.classes.append(node.name)
        self.inside(node.body)
        self.classes.pop()
        self.functions = functions

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        returned = annotated(node.returns)
        if self.classes and any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
            self.attributes[self.classes[-1], node.name] = returned
        elif returned:
            self.returns[node.name] = returned
        arguments = node.args
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.visit(default)
        self.functions.append(node.name)
        known = {
            a.arg: annotated(a.annotation) for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
        }
        self.inside(node.body, known)
        self.functions.pop()

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def inside(self, body: Iterable[ast.stmt], known: dict[str, str | None] | None = None) -> None:
        outer = self.scope
        self.scope = ChainMap(known or {}, outer)
        for statement in body:
            self.visit(statement)
        self.scope = outer

    # -- set-order --

    def taken(self, node: ast.expr, how: str, whole: ast.expr | None = None) -> None:
        if self.kind(node) == SET:
            self.found(whole or node, "set-order", f"{how} a set, whose order differs from run to run")

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self.taken(node.iter, "loops over")
        self.bind_loop(node.target, node.iter)
        for statement in (*node.body, *node.orelse):
            self.visit(statement)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self.visit_For(node)

    def bind_loop(self, target: ast.expr, iterable: ast.expr) -> None:
        self.bind(target, None)
        match iterable:
            case ast.Call(func=ast.Attribute(value=owner, attr="values")) if self.kind(owner) == MAP_OF_SETS:
                self.bind(target, SET)
            case ast.Call(func=ast.Attribute(value=owner, attr="items")) if self.kind(owner) == MAP_OF_SETS:
                if isinstance(target, ast.Tuple) and len(target.elts) == 2:
                    self.bind(target.elts[1], SET)

    def comprehension(self, node: ast.ListComp | ast.DictComp | ast.GeneratorExp | ast.SetComp) -> None:
        outer = self.scope
        self.scope = ChainMap({}, outer)
        for part in node.generators:
            if not isinstance(node, ast.SetComp) and id(node) not in self.free:
                self.taken(part.iter, "loops over")
            self.visit(part.iter)
            self.bind_loop(part.target, part.iter)
            for condition in part.ifs:
                self.visit(condition)
        for part_of in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            self.visit(part_of)
        self.scope = outer

    def visit_ListComp(self, node: ast.ListComp) -> None:
        self.comprehension(node)

    def visit_SetComp(self, node: ast.SetComp) -> None:
        self.comprehension(node)

    def visit_DictComp(self, node: ast.DictComp) -> None:
        self.comprehension(node)

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> None:
        self.comprehension(node)

    def visit_Starred(self, node: ast.Starred) -> None:
        self.taken(node.value, "unpacks")
        self.generic_visit(node)

    def visit_Set(self, node: ast.Set) -> None:
        for element in node.elts:  # {*a, *b} is set algebra, so visit only the elements
            self.visit(element.value if isinstance(element, ast.Starred) else element)

    def visit_YieldFrom(self, node: ast.YieldFrom) -> None:
        self.taken(node.value, "yields from")
        self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> None:
        self.taken(node.value, "prints")
        self.generic_visit(node)

    # -- calls --

    def visit_Call(self, node: ast.Call) -> None:
        name, owner = "", None
        if isinstance(node.func, ast.Name):
            name = node.func.id
        elif isinstance(node.func, ast.Attribute):
            name, owner = node.func.attr, node.func.value
        if name in ORDER_FREE and owner is None:
            self.free.update(id(argument) for argument in node.args if isinstance(argument, ast.GeneratorExp))
        if (owner is None and name in ORDER_TAKERS) or (owner is not None and name in ORDER_TAKING_METHODS):
            for argument in node.args:
                self.taken(argument, f"{name}() depends on the order of", node)
        if name == "pop" and owner is not None and not node.args and self.kind(owner) == SET:
            self.found(node, "set-order", "pop() takes an arbitrary element of a set")
        if name == "hash" and owner is None and "__hash__" not in self.functions:
            self.found(node, "hash-order", "hash() of a string differs from run to run")
        if name in SORTERS:
            self.sorting(node)
        if self.qualified(node.func) == "random.Random" and not (node.args or node.keywords):
            self.found(node, "random", "Random() without a seed differs from run to run")
        self.generic_visit(node)

    def sorting(self, node: ast.Call) -> None:
        for part in (*node.args, *(keyword.value for keyword in node.keywords)):
            if isinstance(part, ast.Name) and part.id in ("id", "hash"):
                self.found(part, "hash-order", f"orders by {part.id}(), which differs from run to run")
            for inner in ast.walk(part):
                if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id == "id":
                    self.found(inner, "hash-order", "orders by id(), which differs from run to run")

    # -- clock and random --

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.imports[alias.asname or alias.name.partition(".")[0]] = (
                alias.name if alias.asname else (alias.name.partition(".")[0])
            )
            self.judge(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            self.imports[alias.asname or alias.name] = full
            if alias.name == "*" and node.module in ("time", "random", "datetime", "uuid", "secrets"):
                self.found(node, "clock", f"imports everything from {node.module}", "name what you need")
            else:
                self.judge(node, full)

    def qualified(self, node: ast.expr) -> str:
        """The dotted name behind a name or an attribute, through the imports; empty if there is none."""
        match node:
            case ast.Name(id=name):
                return self.imports.get(name, "")
            case ast.Attribute(value=owner, attr=name):
                outer = self.qualified(owner)
                return f"{outer}.{name}" if outer else ""
        return ""

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.judge(node, self.qualified(node))
        self.generic_visit(node)

    def judge(self, node: ast.AST, name: str) -> None:
        module, _, member = name.partition(".")
        if name in DATETIME_CLOCKS or (module == "time" and member and member not in TIME_PURE):
            self.found(node, "clock", f"{name} is the wall clock")
        elif (
            (module == "random" and member.partition(".")[0] not in ("", *RANDOM_PURE))
            or module == "secrets"
            or (module == "uuid" and member.partition(".")[0] not in ("", *UUID_PURE))
            or name in ("os.urandom", "os.getrandom")
        ):
            self.found(node, "random", f"{name} differs from run to run")


def is_keys(node: ast.expr) -> bool:
    """``d.keys()`` and ``d.items()`` keep their order, but set algebra on them gives a set."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("keys", "items")
