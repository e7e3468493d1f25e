"""The files of a decision log, whole or from some moment on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from json import loads
from pathlib import Path
from typing import Any

from proxy.decisions import signing
from proxy.decisions.reading import log_files
from proxy.verifying.findings import Damage, Finding
from proxy.verifying.notes import Keys
from proxy.verifying.verify import verify


class DecisionLog:
    """What stands in the files of a folder behind the places where they `begin`, in bytes."""

    def __init__(self, folder: Path, begin: Mapping[Path, int] | None = None) -> None:
        self.folder = folder
        self._begin = begin or {}

    def from_now(self) -> DecisionLog:
        """Return what comes to stand there."""
        return DecisionLog(self.folder, {path: path.stat().st_size for path in self._files()})

    def contents(self) -> dict[Path, bytes]:
        """Return the bytes of each file."""
        found = {}
        for path in self._files():
            with path.open("rb") as file:
                file.seek(self._begin.get(path, 0))
                found[path] = file.read()
        return found

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Read every whole line, each record to be left as it is.

        A line that is torn must have its repair record; else AssertionError.
        """
        records: list[dict[str, Any]] = []
        torn: list[bytes] = []
        for content in self.contents().values():
            *lines, _unfinished = content.split(b"\n")
            for line in lines:
                try:
                    records.append(_read(line))
                except ValueError:
                    torn.append(line)
        repairs = sum(record["kind"] == "repair" for record in records)
        assert len(torn) <= repairs, f"{len(torn)} torn lines and {repairs} repair records: {torn}"
        return [record for record in records if kind in {None, record["kind"]}]

    def walk(self) -> Iterator[dict[str, Any]]:
        """Yield the record of each whole line, one at a time: for a log that memory does not hold; none may be torn."""
        for path in self._files():
            with path.open("rb") as file:
                file.seek(self._begin.get(path, 0))
                for line in file:
                    if line.endswith(b"\n"):
                        yield loads(line)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("*.jsonl"))


@lru_cache(maxsize=20_000)
def _read(line: bytes) -> dict[str, Any]:
    """Read a line once, however often its file is: whoever waits for another looks at all of them again."""
    record: dict[str, Any] = loads(line)
    return record


def assert_verifies(logs: Mapping[DecisionLog, Path]) -> list[Finding]:
    """I7: nothing in their whole folders was changed, taken out, put in or moved, by the public keys of private ones.

    A running writer may be in the middle of a line. Degraded exchanges without their end, which are returned, are
    those of processes that were killed: their writers have a gap behind them.
    """
    keys = Keys()
    for key in logs.values():
        keys.trust(signing.load_signer(key).public)
    wholes = [DecisionLog(log.folder) for log in logs]
    report = verify(log_files([whole.folder for whole in wholes]), keys, (), lambda _: None)
    unended = [finding for finding in report.findings if finding.damage is Damage.UNENDED]
    if unended:
        killed = {str(record["writer"]) for whole in wholes for record in whole.records("gap")}
        unended = [finding for finding in unended if finding.writer in killed]
    bad = [one for one in report.findings if one not in unended and one.damage is not Damage.TORN]
    assert not bad, f"I7: the log does not verify: {bad[:5]}"
    return unended
