"""Finds what other packages add to the program: classes that they name under its entry points.

Laws: an entry point that is there is used, or the start fails: no part of a rule is optional at run time; nothing is
imported to learn a name.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from proxy.errors import ConfigurationError


class Group(StrEnum):
    """The groups of entry points."""

    DETECTORS = "stillgate.detectors"
    ACTIONS = "stillgate.actions"
    DIALECTS = "stillgate.dialects"

    @property
    def one(self) -> str:
        """The word for one of the group, such as `detector`."""
        return self.removeprefix("stillgate.").removesuffix("s")


def names(group: Group) -> tuple[str, ...]:
    """Return the names of the group's entry points, sorted."""
    return tuple(point.name for point in _points(group, tuple(sys.path)))


def joined(group: Group, seam: type) -> list[Any]:
    """Return the classes of the group's entry points, in the order of their names.

    Raises ConfigurationError for one that cannot be imported or lacks something of the protocol `seam`.
    """
    kinds = []
    for point in _points(group, tuple(sys.path)):
        try:
            kind = point.load()
        except Exception as error:
            raise ConfigurationError(f"{_told(group, point)} cannot be loaded: {error}") from error
        if not isinstance(kind, type):
            raise ConfigurationError(f"{_told(group, point)} is not a class")
        if wanted := lacking(kind, seam):
            raise ConfigurationError(f"{_told(group, point)} is no {group.one}: it has no {', no '.join(wanted)}")
        kinds.append(kind)
    return kinds


def joined_by_name(group: Group, seam: type, built_in: Iterable[str]) -> dict[str, Any]:
    """Return the classes of the group's entry points by the name that files use: the entry point's and the class's.

    Raises ConfigurationError as `joined` does, for names that differ, and for one that is built in or comes twice.
    """
    kinds: dict[str, Any] = {}
    taken = set(built_in)
    for name, kind in zip(names(group), joined(group, seam), strict=True):
        if kind.name != name:
            raise ConfigurationError(f"the {group.one} {name} calls itself {kind.name!r}: both have to be the same")
        if name in taken:
            raise ConfigurationError(f"there are two {group.one}s called {name}")
        taken.add(name)
        kinds[name] = kind
    return kinds


def lacking(kind: type, seam: type) -> list[str]:
    """Return the attributes and methods of a protocol that a class does not have."""
    wanted = (*seam.__annotations__, *vars(seam))
    return [name for name in wanted if not name.startswith("_") and not hasattr(kind, name)]


@cache
def _points(group: Group, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Return the group's entry points on `path`, searched for once for each path, since that takes milliseconds."""
    del path
    return tuple(sorted(entry_points(group=group), key=lambda point: point.name))


def _told(group: Group, point: EntryPoint) -> str:
    return f"the {group.one} {point.name} ({point.value})"
