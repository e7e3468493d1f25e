"""A library is imported as if another were not there, and neither is changed for anybody else."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from proxy.without import in_parts, without


def test_what_is_hidden_cannot_be_imported_and_is_there_again() -> None:
    before = sys.modules["json"]
    with without("json"), pytest.raises(ModuleNotFoundError):
        import json  # noqa: F401, PLC0415 - that is what is tested
    assert sys.modules["json"] is before


def test_a_part_of_it_that_is_loaded_is_hidden_with_it_and_is_there_again() -> None:
    import json.decoder as before  # noqa: PLC0415 - loaded by whoever asks for it

    with without("json"), pytest.raises(ModuleNotFoundError):
        import json.decoder  # noqa: F401, PLC0415 - that is what is tested
    assert sys.modules["json.decoder"] is before


def test_it_is_there_again_after_a_failure_and_what_was_not_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    own = ModuleType("own")
    monkeypatch.setitem(sys.modules, "own", own)
    with pytest.raises(ValueError, match="no"), without("own"):
        raise ValueError("no")
    assert sys.modules["own"] is own
    with without("never_heard_of"):
        pass
    assert "never_heard_of" not in sys.modules


def test_a_package_in_parts_loads_what_it_imports_once_that_is_asked_for() -> None:
    program = """
import sys
from proxy.without import in_parts
in_parts("aiohttp")
in_parts("redis")
in_parts("redis.asyncio")
from aiohttp.web_request import BaseRequest
from redis.asyncio.connection import Connection
print(*sorted({"aiohttp.client", "redis.client", "redis.asyncio.client"} & set(sys.modules)), "none yet")
import aiohttp, redis
print(aiohttp.web_request.BaseRequest is BaseRequest, redis.exceptions.ResponseError.__name__, "aiohttp.client" in sys.modules)
print(aiohttp.ClientSession.__module__, redis.Redis.__module__, redis.asyncio.Redis.__module__)
print(aiohttp.web_request.BaseRequest is BaseRequest, redis.asyncio.connection.Connection is redis.asyncio.Connection)
print(hasattr(aiohttp, "nothing"), hasattr(redis, "nothing"))
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - words of our own
    assert ran.stdout.splitlines() == [
        "none yet",
        "True ResponseError False",
        "aiohttp.client redis.client redis.asyncio.client",
        "True True",
        "False False",
    ]


def test_who_asks_while_another_thread_loads_a_package_in_parts_waits_for_it() -> None:
    program = """
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from proxy.without import in_parts
in_parts("redis")
import redis

def name(wait):
    sleep(wait / 100)
    return redis.Redis.__name__

with ThreadPoolExecutor(10) as threads:
    print(*threads.map(name, range(10)))
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - words of our own
    assert ran.stdout.split() == ["Redis"] * 10


def test_a_package_that_is_loaded_stays_as_it_is_and_one_that_is_not_there_is_missed() -> None:
    before = sys.modules["json"]
    in_parts("json")
    assert sys.modules["json"] is before
    with pytest.raises(ModuleNotFoundError, match="never_heard_of"):
        in_parts("never_heard_of")


def test_a_worker_loads_no_console_no_telemetry_no_application_no_client_no_yaml_and_without_issuers_no_tokens() -> (
    None
):
    program = """
import asyncio, sys
import proxy.processes.worker
from proxy.errors import StoreUnavailable
from proxy.clock import SystemClock
from proxy.store import open_store
try:
    asyncio.run(open_store("redis://127.0.0.1:1/0", clock=SystemClock(), deadline=0.1))
except StoreUnavailable:
    named = {"aiohttp.web", "aiohttp.client", "jwt", "proxy.samples.sampler", "rich", "opentelemetry", "structlog"}
    named |= {"redis", "redis.client", "redis.cluster", "redis.commands"}
    named |= {"yaml", "proxy.patterns.sets", "proxy.rules.pack_file.loading", "proxy.packs.archive"}
    print(*sorted(named & set(sys.modules)))
import rich.console
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - words of our own
    assert ran.stdout.split() == ["redis", "structlog"]
