"""Small wrong changes to a source file, one at a time, as an author might make them: each should fail some test.

Laws: pure; the mutants of a file and their order depend on its text alone. What is only for people or for type checkers
stays as it is: docstrings, annotations, decorators, and texts with a space in them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult,
    ast.Div: ast.Mult,
    ast.Mod: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_FOR_OTHERS = {"annotation", "returns", "decorator_list", "bases", "type_params"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """The `index`th mutant of a file: where it is and what becomes what, in words that outlive a moved line."""

    path: Path
    index: int
    place: str
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.path} {self.place}: {self.was} => {self.now}"


@dataclass(frozen=True, slots=True)
class _Change:
    """Another node in the place of one: `field` of `parent`, at `at` if that is a list."""

    place: str
    statement: ast.stmt
    parent: ast.AST
    field: str
    at: int | None
    other: ast.AST

    def swapped(self) -> _Change:
        """Put the other node in its place, and return the change that undoes it."""
        held = getattr(self.parent, self.field)
        if self.at is None:
            setattr(self.parent, self.field, self.other)
            return replace(self, other=held)
        was, held[self.at] = held[self.at], self.other
        return replace(self, other=was)


def mutants(path: Path, source: str) -> list[Mutant]:
    """Return every mutant of a file."""
    found = []
    for index, change in enumerate(_changes(ast.parse(source))):
        before = ast.unparse(change.statement).splitlines()
        undoing = change.swapped()
        other = change.other if isinstance(change.other, ast.stmt) else change.statement
        after = ast.unparse(ast.fix_missing_locations(other)).splitlines()
        undoing.swapped()
        was, now = next(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])
        found.append(Mutant(path, index, change.place, was.strip(), now.strip()))
    return found


def mutated(source: str, index: int) -> ast.Module:
    """Return the tree of a file's `index`th mutant."""
    tree = ast.parse(source)
    _changes(tree)[index].swapped()
    return ast.fix_missing_locations(tree)


def _changes(tree: ast.Module) -> list[_Change]:
    return list(_below(tree, "", None))


def _below(parent: ast.AST, place: str, statement: ast.stmt | None) -> Iterator[_Change]:
    for field, value in ast.iter_fields(parent):
        if field in _FOR_OTHERS or (field == "keywords" and isinstance(parent, ast.ClassDef)):
            continue
        for at, child in enumerate(value if isinstance(value, list) else [value]):
            if not isinstance(child, ast.AST) or _is_docstring(child) or _names(parent, child):
                continue
            around = child if isinstance(child, ast.stmt) else statement
            if around is not None:
                for other in _others(child, tested=field == "test"):
                    where = at if isinstance(value, list) else None
                    yield _Change(place, around, parent, field, where, ast.copy_location(other, child))
            yield from _below(child, _place_within(child, place), around)


def _place_within(node: ast.AST, place: str) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return f"{place}.{node.name}".lstrip(".")
    return place


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names(parent: ast.AST, child: ast.AST) -> bool:
    """Tell whether a node only names a type, or attributes: one is checked elsewhere, and a wrong other fails at once."""
    match parent:
        case ast.Call(ast.Name("cast"), args):
            return child is not args[-1]
        case ast.Assign([ast.Name("__slots__")]):
            return True
    return False


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def _others(node: ast.AST, *, tested: bool) -> Iterator[ast.AST]:
    """Yield what could stand in a node's place; `tested` if its truth decides which way is taken."""
    if isinstance(node, ast.expr):
        yield from _other_expressions(node)
        if tested and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            yield ast.UnaryOp(ast.Not(), node)
    elif isinstance(node, ast.stmt):
        yield from _other_statements(node)


def _other_expressions(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Compare(left, ops, comparators):
            for at, op in enumerate(ops):
                yield ast.Compare(left, [*ops[:at], _COMPARISONS[type(op)](), *ops[at + 1 :]], comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values)
            for at in range(len(values)):  # each of several checks left out
                others = [*values[:at], *values[at + 1 :]]
                yield ast.BoolOp(op, others) if len(others) > 1 else others[0]
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC and not (_is_text(left) or _is_text(right)):
            yield ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.Constant(value):
            for other in _other_values(value):
                yield ast.Constant(other)


def _other_statements(node: ast.stmt) -> Iterator[ast.stmt]:
    match node:
        case ast.AugAssign(target, op, value) if type(op) in _ARITHMETIC:
            yield ast.AugAssign(target, _ARITHMETIC[type(op)](), value)
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Raise() | ast.Expr(ast.Call() | ast.Await()):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _other_values(value: object) -> list[str | bytes | int | float]:
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case float():
            return [value + 1]
        case str() if value and " " not in value:
            return [value + "x"]
        case bytes() if value and b" " not in value:
            return [value + b"x"]
    return []
