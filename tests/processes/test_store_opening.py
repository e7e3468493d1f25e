"""The store is opened with this deployment's secret, and an old one that is still taken is told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.clock import SystemClock
from proxy.config import load_settings
from proxy.keyed.master_rotation import retire, rotate
from proxy.processes.store_opening import opened
from proxy.secrets import load_or_create_master

AT = "2026-01-02T03:04:05Z"


async def test_each_start_warns_of_an_old_secret_until_it_is_retired(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load_settings(None, {"data": tmp_path})
    old = load_or_create_master(settings.master_secret).id
    rotate(settings.master_secret, AT)
    async with opened(settings, "memory", SystemClock()):
        assert "stillgate secrets retire" in caplog.text
        assert f"'id': '{old}', 'since': '{AT}'" in caplog.text
    caplog.clear()
    retire(settings.master_secret, AT)
    async with opened(settings, "memory", SystemClock()):
        assert not caplog.text
