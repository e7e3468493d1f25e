"""What the program must find where it runs: libraries with the fixes that it relies on, and their parsers in C.

Laws: what is asked of a library stands in pyproject.toml only; whatever is missing is said in one go.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version

from aiohttp import http_parser

from proxy.errors import ConfigurationError

_DISTRIBUTION = "stillgate"
# As pyproject.toml has them; those with a marker are an extra's, which nobody needs to serve.
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?>=([0-9.]+)")


def check_runtime() -> None:
    """Raise ConfigurationError where a guarantee that other code relies on is not given."""
    if wrong := [*_too_old(requires(_DISTRIBUTION) or (), version), *_slow_or_lenient()]:
        raise ConfigurationError("; ".join(wrong))


def leave_no_core() -> None:
    """Have the kernel write no memory of this process, nor of those that it starts, to the disk when it crashes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _too_old(requirements: Sequence[str], installed: Callable[[str], str]) -> Iterator[str]:
    for requirement in requirements:
        if (wanted := _REQUIREMENT.fullmatch(requirement)) is None:
            continue
        name, least = wanted.groups()
        try:
            found = installed(name)
        except PackageNotFoundError:
            yield f"{name} {least} or newer is needed and not installed"
            continue
        if _numbers(found) < _numbers(least):
            yield f"{name} {least} or newer is needed, this is {found}"


def _slow_or_lenient() -> Iterator[str]:
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        yield "aiohttp runs without its parser in C: unset AIOHTTP_NO_EXTENSIONS, or install its wheel"
    if os.environ.get("PYTHONHASHSEED", "random") != "random":
        yield "a client could choose keys that all meet in one place of a table: unset PYTHONHASHSEED"


def _numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a release; what stands behind them, as in 4.0rc1, does not count."""
    numbers = tuple(int(number) for number in re.findall(r"(?:^|\.)([0-9]+)", text))
    return numbers + (0,) * (8 - len(numbers))
