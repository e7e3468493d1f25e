"""Verifies logs for tests, and damages them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from proxy.decisions.chain import Chain, Head
from proxy.verifying.findings import Damage, Report
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify


def checked(*files: Path, key: str, kept: tuple[Path, ...] = ()) -> Report:
    keys = Keys()
    keys.trust(key)
    return verify(files, keys, kept, lambda _: None)


def damages(report: Report) -> list[tuple[Damage, int]]:
    return [(finding.damage, finding.place.line if finding.place else 0) for finding in report.findings]


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def linked(before: bytes, lines: Sequence[bytes]) -> list[bytes]:
    """Return lines as a forger without the key would link them behind another; their own links, if any, are lost."""
    head = Head.of_line(before)
    assert head is not None
    chain = Chain(head)
    return [chain.link(line.rpartition(b',"seq":')[0] + b"}\n") for line in lines]
