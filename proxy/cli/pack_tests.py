"""Runs the tests that belong to a pack; `stillgate policy activate` asks for it."""

from __future__ import annotations

from pathlib import Path

from proxy.policy_testing.examining import examine
from proxy.policy_testing.production import production_runner
from proxy.policy_testing.report import as_text
from proxy.rules.pack_file.loading import load_pack


def failures_of(file: Path) -> list[str]:
    """Run all tests that name a pack and return what failed, a line or two each; nothing if there are none.

    Raises ConfigurationError if the pack or one of the files of tests cannot be used.
    """
    report = examine(file, load_pack(file), production_runner(file))
    return list(as_text(report)) if report.failed else []
