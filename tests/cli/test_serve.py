"""`stillgate serve` and `stillgate hunter`: what they refuse before anything is started."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli import app


@pytest.mark.parametrize(
    ("words", "exit_code", "complaint"),
    [
        (("--config", "missing.yaml"), 1, "missing.yaml: error: cannot be read: No such file"),
        (("--port", "99999"), 1, "listen.port: should be at most 65535"),
        (("--port", "eighty"), 2, "Invalid value for '--port'"),
        (("--admin-port", "-1"), 1, "admin.port: should be at least 0"),
        (("--port", "9000", "--admin-port", "9000"), 1, "cannot share one address and port"),
        (("--host", "no host"), 1, "listen.host: should be an address or a host name"),
        (("--workers", "0"), 1, "workers: should be at least 1"),
        (("--log-level", "loud"), 2, "'loud' is not one of"),
        (("--prot", "9000"), 2, "No such option: --prot"),
    ],
)
def test_a_wrong_word_on_the_command_line_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], exit_code: int, complaint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["serve", *words])
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert complaint in " ".join(result.stderr.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("port", ["-1", "65536", "99999"])
def test_a_hunter_takes_no_port_that_there_is_not(port: str) -> None:
    """Whoever listens there is listening on another port, by as much as fits into sixteen bits."""
    result = CliRunner().invoke(app, ["hunter", "--admin-port", port])
    assert (result.exit_code, "Invalid value for '--admin-port'" in result.stderr) == (2, True)
