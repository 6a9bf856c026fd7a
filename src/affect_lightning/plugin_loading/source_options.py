"""A plugin's options out of its source text, so that explaining a part loads neither it nor torch.

The constructor is read as Python would bind it: its own arguments, then those of a base class or of a group of options to
which it passes `**options` on. What is not plain enough (a computed default, a decorated class, a base from elsewhere) is
left to `building.py`, which imports the plugin. `tests/test_plugin_loading.py` compares both ways for every installed
plugin. Standard library only.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import operator
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from affect_lightning.plugin_loading.listing import module_path

_NO_OPTIONS = {"object", "ABC", "Protocol", "Generic", "Module"}  # bases whose constructors have none
_OPERATORS: Mapping[type[ast.operator], Any] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.BitOr: operator.or_,
}  # fmt: skip
_DEEPEST = 20  # bases and aliases that are followed, our choice


class UnreadSourceError(Exception):
    """The source is not plain enough to be understood without running it."""


@dataclass(frozen=True)
class PluginOption:
    """One option of a plugin, as its constructor declares it.

    Attributes:
        name: Of the option.
        type: As text.
        default: As text; `required` when there is none.
        help: From the constructor's or the class's docstring.
    """

    name: str
    type: str
    default: str
    help: str


@dataclass(frozen=True)
class _Source:
    """A parsed module."""

    name: str
    is_package: bool
    tree: ast.Module

    def home(self, name: str, depth: int = 0) -> tuple[_Source, ast.stmt]:
        """The statement that defines a name, here or where it is imported from."""
        if depth > _DEEPEST:
            raise UnreadSourceError(name)
        for node in _statements(self.tree.body):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return self, node
            if isinstance(node, ast.Assign) and name in (values := _assigned(node)):
                return self, ast.Assign(node.targets, values[name])
            if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == name:
                return self, node
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return _source_of(self.origin(node)).home(alias.name, depth + 1)
        raise UnreadSourceError(name)

    def origin(self, node: ast.ImportFrom) -> str:
        """Full name of the module that an import names."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        parts = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*parts, *filter(None, [node.module])])


def read_options(target: str, supplied: Sequence[str] = ()) -> list[PluginOption] | None:
    """The options of a class, read from its source.

    Args:
        target: `module:Class`.
        supplied: Arguments that are no options.

    Returns:
        In the constructor's order; None where the source is not plain enough.
    """
    module, _, name = target.partition(":")
    try:
        source, node = _source_of(module).home(name)
        found = list(_options_of(source, node))
    except (UnreadSourceError, RecursionError):
        return None
    return [option for option in found if option.name not in supplied]


@lru_cache(maxsize=64)
def _source_of(module: str) -> _Source:
    path = module_path(module)
    if path is None or path.suffix != ".py":
        raise UnreadSourceError(module)
    try:
        return _Source(module, path.name == "__init__.py", ast.parse(path.read_text(encoding="utf-8")))
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadSourceError(module) from error


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Those of a module, and those that only a type checker sees."""
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from node.body
        else:
            yield node


def _assigned(node: ast.Assign) -> dict[str, ast.expr]:
    """Names and values of an assignment, also of several at once."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return {ast.unparse(name): item for name, item in zip(target.elts, value.elts, strict=True)}
    return {ast.unparse(item): value for item in node.targets}


def _options_of(source: _Source, node: ast.stmt, depth: int = 0) -> Iterator[PluginOption]:
    """Arguments of a class's constructor, or fields of a dataclass."""
    if not isinstance(node, ast.ClassDef) or depth > _DEEPEST or node.keywords:
        raise UnreadSourceError(source.name)
    decorators = {ast.unparse(item).partition("(")[0].rpartition(".")[2] for item in node.decorator_list}
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    if decorators - {"dataclass"} or "__new__" in methods:
        raise UnreadSourceError(node.name)
    if "__init__" in methods:
        yield from _arguments(source, node, methods["__init__"], depth)
    elif decorators:
        yield from _fields(source, node)
    else:
        yield from _inherited(source, node, depth)


def _inherited(source: _Source, node: ast.ClassDef, depth: int) -> Iterator[PluginOption]:
    """Those of the first base class that has any; several bases are left to Python."""
    bases = [base for base in node.bases if ast.unparse(base).partition("[")[0].rpartition(".")[2] not in _NO_OPTIONS]
    if len(bases) > 1 or not all(isinstance(base, ast.Name) for base in bases):
        raise UnreadSourceError(node.name)
    for base in bases:
        yield from _options_of(*source.home(ast.unparse(base)), depth + 1)


def _arguments(source: _Source, owner: ast.ClassDef, method: ast.FunctionDef, depth: int) -> Iterator[PluginOption]:
    given = method.args
    if given.vararg or method.decorator_list:
        raise UnreadSourceError(owner.name)
    helps = _helps(owner) | _helps(method)
    positional = [*given.posonlyargs, *given.args][1:]
    required: list[ast.expr | None] = [None] * (1 + len(positional) - len(given.defaults))
    defaults = [*required, *given.defaults][-len(positional) :] if positional else []
    own = [*zip(positional, defaults, strict=True), *zip(given.kwonlyargs, given.kw_defaults, strict=True)]
    for argument, default in own:
        yield _option(source, argument.arg, argument.annotation, default, helps)
    if given.kwarg is not None:
        names = {argument.arg for argument, _ in own}
        passed = _passed_on(source, owner, method, given.kwarg.arg, depth)
        yield from (option for option in passed if option.name not in names)


def _passed_on(
    source: _Source, owner: ast.ClassDef, method: ast.FunctionDef, name: str, depth: int
) -> Iterator[PluginOption]:
    """What takes the `**options` of a constructor, without what it is given beside them."""
    calls = [
        node
        for node in ast.walk(method)
        if isinstance(node, ast.Call)
        and any(
            word.arg is None and isinstance(word.value, ast.Name) and word.value.id == name for word in node.keywords
        )
    ]
    uses = [node for node in ast.walk(method) if isinstance(node, ast.Name) and node.id == name]
    looks = [
        node for node in ast.walk(method) if isinstance(node, ast.Attribute) and ast.unparse(node) == f"{name}.get"
    ]
    if len(calls) != 1 or len(uses) != 1 + len(looks) or any(isinstance(item, ast.Starred) for item in calls[0].args):
        raise UnreadSourceError(owner.name)
    called = ast.unparse(calls[0].func)
    if called == "super().__init__":
        found = list(_inherited(source, owner, depth))
    elif isinstance(calls[0].func, ast.Name):
        found = list(_options_of(*source.home(called), depth + 1))
    else:
        raise UnreadSourceError(owner.name)
    named = {word.arg for word in calls[0].keywords}
    yield from (option for option in found[len(calls[0].args) :] if option.name not in named)


def _fields(source: _Source, node: ast.ClassDef) -> Iterator[PluginOption]:
    if node.bases:
        raise UnreadSourceError(node.name)
    helps = _helps(node)
    for item in node.body:
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
            yield _option(source, item.target.id, item.annotation, item.value, helps)


def _option(
    source: _Source, name: str, annotation: ast.expr | None, default: ast.expr | None, helps: Mapping[str, str]
) -> PluginOption:
    kind = type_text(inspect.Parameter.empty if annotation is None else _value(source, annotation, is_type=True))
    text = "required" if default is None else repr(_value(source, default))
    return PluginOption(name, kind, text, helps.get(name, ""))


def type_text(annotation: Any) -> str:
    """A type as `plugins NAME` shows it."""
    if annotation is inspect.Parameter.empty:
        return "anything"
    return annotation.__name__ if inspect.isclass(annotation) else str(annotation).replace("typing.", "")


def _value(source: _Source, node: ast.expr, *, is_type: bool = False, depth: int = 0) -> Any:
    """A literal, a type, or a name for one; what a call would give is not known here."""

    def inner(part: ast.expr) -> Any:
        return _value(source, part, is_type=is_type, depth=depth + 1)

    if depth > _DEEPEST:
        raise UnreadSourceError(source.name)
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(map(inner, node.elts))
    if isinstance(node, ast.List):
        return list(map(inner, node.elts))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -inner(node.operand)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](inner(node.left), inner(node.right))
    if isinstance(node, ast.Subscript) and is_type:
        return inner(node.value)[inner(node.slice)]
    if isinstance(node, ast.Name):
        return _named(source, node.id, is_type=is_type, depth=depth)
    raise UnreadSourceError(source.name)


def _named(source: _Source, name: str, *, is_type: bool, depth: int) -> Any:
    if is_type and isinstance(getattr(builtins, name, None), type):
        return getattr(builtins, name)
    for node in _statements(source.tree.body):
        origin = source.origin(node) if isinstance(node, ast.ImportFrom) else ""
        for alias in node.names if isinstance(node, ast.ImportFrom) else ():
            if (alias.asname or alias.name) == name and origin.split(".")[0] in sys.stdlib_module_names:
                return getattr(importlib.import_module(origin), alias.name)
    home, node = source.home(name)
    if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
        return _value(home, node.value, is_type=is_type, depth=depth + 1)
    if isinstance(node, ast.ClassDef) and is_type:
        return type(name, (), {})
    raise UnreadSourceError(name)


def _helps(node: ast.ClassDef | ast.FunctionDef) -> dict[str, str]:
    """The entries under `Args` or `Attributes` of a docstring."""
    found: dict[str, list[str]] = {}
    inside, margin, entry = False, -1, ""
    for line in (ast.get_docstring(node) or "").splitlines():
        indent = len(line) - len(line.lstrip())
        if not indent and line.strip():
            inside, margin = line.strip() in ("Args:", "Attributes:"), -1
        elif inside and line.strip():
            margin = indent if margin < 0 else margin
            name, colon, text = line.strip().partition(":")
            if indent == margin and colon:
                entry = name.partition(" ")[0]
                found[entry] = [text]
            else:
                found.setdefault(entry, []).append(line)
    return {name: " ".join(" ".join(lines).split()) for name, lines in found.items()}
