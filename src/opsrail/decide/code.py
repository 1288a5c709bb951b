"""A digest of what a function does, the same after every restart: a policy's version moves when its code does.

Two parts are hashed: the function's own syntax tree written back as text, so that comments and layout do not count, and
the values it leans on: defaults, closures and the constants and functions it names in its module, as deep as they go.
"""

from __future__ import annotations

import ast
import copy
import enum
import functools
import hashlib
import inspect
import linecache
import types
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

_Definition = ast.Lambda | ast.FunctionDef | ast.AsyncFunctionDef


def code_digest(function: Callable[..., Any]) -> str:
    """Return 64 hex digits over a function's code and the constants and functions it refers to.

    What it calls in other objects and libraries is known by name alone: a new release of a library moves no digest.
    """
    return hashlib.sha256("\n".join(_described(function, set())).encode()).hexdigest()


def is_plain_function(value: object) -> bool:
    """Whether something can be called and answers at once, not with a coroutine."""
    return callable(value) and not inspect.iscoroutinefunction(value)


def _described(value: Any, seen: set[int]) -> Iterator[str]:
    """Yield lines that name a value: plain ones by content, functions by code, anything else by its type."""
    if value is None or isinstance(
        value, bool | int | float | str | bytes | Decimal | enum.Enum | types.EllipsisType
    ):
        yield repr(value)
        return
    if id(value) in seen:
        yield "again"
        return
    seen.add(id(value))
    if isinstance(value, list | tuple):
        yield f"{type(value).__name__} {len(value)}"
        for part in value:
            yield from _described(part, seen)
    elif isinstance(value, set | frozenset):
        yield f"{type(value).__name__} {sorted(' '.join(_described(part, seen)) for part in value)}"
    elif isinstance(value, dict):
        yield f"dict {sorted(' '.join((*_described(key, seen), *_described(part, seen))) for key, part in value.items())}"
    elif isinstance(value, functools.partial):
        for part in (value.func, value.args, value.keywords):
            yield from _described(part, seen)
    elif isinstance(value, types.MethodType):
        yield from _described(value.__func__, seen)
    elif isinstance(value, types.FunctionType):
        yield from _function(value, seen)
    else:
        named = (
            value
            if isinstance(value, type | types.ModuleType | types.BuiltinFunctionType)
            else type(value)
        )
        yield f"{getattr(named, '__module__', '')}.{getattr(named, '__qualname__', named.__name__)}"


def _function(function: types.FunctionType, seen: set[int]) -> Iterator[str]:
    yield _source(function) or _compiled(function.__code__)
    for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
        yield from _described(value, seen)
    outside = inspect.getclosurevars(function)
    for name, value in sorted({**outside.globals, **outside.nonlocals}.items()):
        yield name
        yield from _described(value, seen)


def _source(function: types.FunctionType) -> str:
    """Return a function's definition as normalised text, empty when its source cannot be had."""
    code = function.__code__
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    found = [node for node in _definitions(text) if _may_hold(node, code)]
    return ast.unparse(_bare(min(found, key=_length))) if found else ""


@functools.lru_cache(maxsize=4)
def _definitions(text: str) -> tuple[_Definition, ...]:
    """Return all functions in a source text; a policy's rules mostly share one file, which is parsed once."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, _Definition))


def _may_hold(node: _Definition, code: types.CodeType) -> bool:
    """Whether a definition starts where the code does and holds all its instructions; the shortest such is its home."""
    if not isinstance(node, ast.Lambda):
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        return node.name == code.co_name and first == code.co_firstlineno
    if code.co_name != "<lambda>" or node.lineno != code.co_firstlineno:
        return False
    start, end = _span(node.body)
    return all(
        start <= (line, column) and (last, stop) <= end
        for line, last, column, stop in code.co_positions()
        if line
        and last
        and column is not None
        and stop  # others belong to the call itself, not to a piece of the source
    )


def _span(node: ast.expr | ast.stmt) -> tuple[tuple[int, int], tuple[int, int]]:
    start = node.lineno, node.col_offset
    return start, (node.end_lineno or node.lineno, node.end_col_offset or 0)


def _length(node: _Definition) -> tuple[int, int]:
    start, end = _span(node)
    return end[0] - start[0], end[1] - (start[1] if end[0] == start[0] else 0)


def _bare(node: _Definition) -> ast.AST:
    """Return the definition without its docstring."""
    if isinstance(node, ast.Lambda) or ast.get_docstring(node) is None:
        return node
    bare = copy.copy(node)
    bare.body = node.body[1:] or [ast.Pass()]
    return bare


def _compiled(code: types.CodeType) -> str:
    """Return compiled code as text, for functions without source; moves with the interpreter's minor version."""
    constants = [
        _compiled(part) if isinstance(part, types.CodeType) else repr(part)
        for part in code.co_consts
    ]
    return f"{code.co_code.hex()} {constants} {code.co_names}"


def names_and_numbers(function: Callable[..., Any]) -> tuple[frozenset[str], frozenset[float]]:
    """Return the attributes that a function names and the numbers that it knows, with those of what it calls here.

    A hint, not a proof: a name may be made at run time, a number may be reckoned.
    """
    names: set[str] = set()
    numbers: set[float] = set()
    _look_into(function, names, numbers, set())
    return frozenset(names), frozenset(numbers)


def _look_into(value: Any, names: set[str], numbers: set[float], seen: set[int]) -> None:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        numbers.add(float(value))
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, types.CodeType):
        names.update(value.co_names)
        inside: Any = value.co_consts
    elif isinstance(value, types.FunctionType):
        outside = inspect.getclosurevars(value)
        inside = [
            value.__code__,
            *(value.__defaults__ or ()),
            *outside.globals.values(),
            *outside.nonlocals.values(),
        ]
    else:
        inside = value if isinstance(value, list | tuple | set | frozenset) else ()
    for part in inside:
        _look_into(part, names, numbers, seen)
