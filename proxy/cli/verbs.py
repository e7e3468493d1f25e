"""Groups of verbs, each imported when it is asked for: no verb waits for the libraries of the others.

All of them together take longer to load than most of them take to run.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer
from typer.core import TyperGroup
from typer.main import get_command
from typer.models import ParameterInfo


def group(verbs: Mapping[str, str], **info: Any) -> typer.Typer:  # noqa: ANN401 - what typer.Typer takes
    """Return a group of verbs, given where each is, as `module:function` or `module:group`, by its name."""

    class Group(TyperGroup):
        def __init__(self, **given: Any) -> None:  # noqa: ANN401 - what a TyperGroup takes
            super().__init__(**{**given, "commands": _Verbs(verbs)})

    made = typer.Typer(cls=Group, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, **info)
    made.callback()(_nothing)  # to typer, what has neither this nor verbs is no group
    return made


class _Verbs(UserDict[str, Any]):
    """Commands by name, in the order of the table; where each is until it is asked for."""

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - typer's commands have no public type
        found = super().__getitem__(name)
        if isinstance(found, str):
            self[name] = found = _command(name, found)
        return found


def _command(name: str, place: str) -> Any:  # noqa: ANN401 - typer's commands have no public type
    module, _, attribute = place.partition(":")
    found = getattr(import_module(module), attribute)
    parent = typer.Typer(add_completion=False)
    parent.callback()(_nothing)
    if isinstance(found, typer.Typer):
        _name_paths(found)
        parent.add_typer(found, name=name)
    else:
        parent.command(name)(found)
        _name_paths(parent)
    return vars(get_command(parent))["commands"][name]


def _name_paths(verbs: typer.Typer) -> None:
    """Have every option and argument that takes a path refuse the empty text."""
    for inner in verbs.registered_groups:
        if inner.typer_instance is not None:
            _name_paths(inner.typer_instance)
    for verb in (command.callback for command in verbs.registered_commands):
        if verb is not None:
            verb.__annotations__ = get_type_hints(verb, include_extras=True)
            for hint in verb.__annotations__.values():
                if Path in (parts := list(_parts(hint))):
                    next(part for part in parts if isinstance(part, ParameterInfo)).parser = path


def _parts(hint: Any) -> Iterator[Any]:  # noqa: ANN401 - what an annotation is made of
    yield hint
    for part in get_args(hint):
        yield from _parts(part)


def path(text: str) -> Path:
    """Read a path. Raises BadParameter for the empty text, an unset variable of a script: it is the current folder."""
    if not text:
        raise typer.BadParameter("should not be empty; the current folder is .")
    return Path(text)


def _nothing() -> None:
    pass
