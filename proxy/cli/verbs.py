"""Groups of verbs, each imported when it is asked for: no verb waits for the libraries of the others.

All of them together take longer to load than most of them take to run.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command


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
        parent.add_typer(found, name=name)
    else:
        parent.command(name)(found)
    return vars(get_command(parent))["commands"][name]


def _nothing() -> None:
    pass
