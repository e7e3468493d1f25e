"""`stillgate policy status`: what a pipe gets, and that nothing in it is taken for markup."""

from __future__ import annotations

import pytest

from proxy.cli.policy_status import _show

DIGEST = "28af4a5df1f2191a88ca2d6a3e3e3df1cb4513ef8509befdaad161be1caf2f66"
SINCE = {
    "time": 1_768_478_400.0,
    "how": "activate",
    "who": "ann",
    "why": "[red]ticket[/red] 12: \x1b[2J" + "long " * 30,
}
FOUND = {
    "pack": {"name": "example", "version": "1", "owner": "abuse-team", "digest": DIGEST},
    "since": SINCE,
    "file": "/etc/stillgate/policies/" + "deep/" * 20 + "example.yaml",
    "failure": None,
    "shadow": [{"kind": "rule", "id": "probing", "since": SINCE["time"], "seconds": 129_600.0}],
    "revisions": [{**SINCE, "digest": DIGEST, "name": "example", "version": "1"}],
    "workers": {"7": DIGEST},
    "patterns": {"differ": False},
}


def test_a_pipe_gets_everything_uncut_and_without_lines_colours_or_markup(capsys: pytest.CaptureFixture[str]) -> None:
    _show(FOUND)
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert ["digest", DIGEST] in lines
    assert ["from", FOUND["file"]] in lines
    assert ["worker", "7", "the", "same"] in lines
    assert ["probing", "rule", "2026-01-15", "12:00:00", "UTC", "1.5"] in lines
    assert "[red]ticket[/red] 12: \N{REPLACEMENT CHARACTER}[2J" + ("long " * 30).rstrip() in shown
    assert not set(shown) & set("\x1b│┃─━")
