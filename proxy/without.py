"""Imports libraries without the parts of them that nobody here uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec
from threading import RLock


@contextmanager
def without(name: str) -> Iterator[None]:
    """Make imports of `name` or of a part of it fail meanwhile, as None in `sys.modules` does; earlier imports stay."""
    there = {found: sys.modules[found] for found in [*sys.modules] if found == name or found.startswith(f"{name}.")}
    for found in there:
        del sys.modules[found]
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        sys.modules.update(there)


def in_parts(name: str) -> None:
    """Let parts of a package be imported without what the package itself imports, unless it is imported already.

    The package is loaded when somebody asks it for anything that is not one of its parts: nobody can tell the
    difference.
    """
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    loader, package, loads, one = spec.loader, module_from_spec(spec), False, RLock()

    def ask(attribute: str) -> object:
        nonlocal loads
        if find_spec(f"{name}.{attribute}") is not None:  # which waits for no other thread that loads the package
            return import_module(f"{name}.{attribute}")
        with one:
            if not loads:
                loads = True
                loader.exec_module(package)
        if attribute in vars(package):
            return vars(package)[attribute]
        raise AttributeError(f"module {name!r} has no attribute {attribute!r}")

    vars(package).update(__getattr__=ask, __version__=version(name.partition(".")[0]))  # parts ask for it
    sys.modules[name] = package
