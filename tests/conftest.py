"""What holds for every test: in which order files begin; and how long an example takes is no failure, on slow machines."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from proxy.clock import VirtualClock

# Under `python -O` only what is rewritten asserts anything; test files are, their helpers have to be named.
HELPERS = [path for path in Path(__file__).parent.rglob("*.py") if not path.name.startswith(("test_", "__"))]
pytest.register_assert_rewrite(
    *(".".join(("tests", *path.relative_to(Path(__file__).parent).with_suffix("").parts)) for path in HELPERS)
)
LONGEST = {"test_policy_packs.py", "test_policies_tutorial.py"}

settings.register_profile("ordinary", deadline=None, max_examples=50)
settings.register_profile("soak", deadline=None, max_examples=1_000)
settings.load_profile("ordinary")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on Python's path, for what `tests.rig.plugged` writes."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plugged", raising=False)
    return tmp_path


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None]:
    """Keep the collector of garbage from looking at what lives as long as the session: ten thousand tests, all modules."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)  # xdist's, which may be left out
def pytest_xdist_auto_num_workers() -> int:
    """Return one more than there are cores: at any time some file waits for a process, a lease or a window to end."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest in one piece, so that none of them is what all others wait for at the end."""
    items.sort(key=lambda item: item.path.name not in LONGEST)
