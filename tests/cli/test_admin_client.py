"""Where the command line looks for the admin side, and where it never sends a token."""

from __future__ import annotations

import random
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from proxy.auth.admin import PREFIX
from proxy.auth.api_key import mint
from proxy.cli import app
from proxy.cli.admin_client import TOKEN_VARIABLE, URL_VARIABLE, AdminClient, AdminError
from proxy.errors import ConfigurationError

TOKEN = mint(random.Random(1).randbytes, PREFIX)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://127.0.0.1:9", None),
        ("http://localhost:9/", None),
        ("http://[::1]:9", None),
        ("https://admin.example.com", None),
        ("http://admin.example.com:9090", "must be https, or http on this machine"),
        ("http://10.0.0.1:9090", "must be https, or http on this machine"),
        ("ftp://127.0.0.1", "must be https, or http on this machine"),
        ("http://user:pw@127.0.0.1:9", "must be an origin"),
        ("http://127.0.0.1:9/keys", "must be an origin"),
        ("http://127.0.0.1:9?a=b", "must be an origin"),
        ("http://127.0.0.1:port", "must be an origin"),
        ("127.0.0.1:9090", "must be an origin"),
        ("http://[", "must be an origin"),
    ],
)
def test_a_token_goes_to_this_machine_or_through_tls_only(url: str, complaint: str | None) -> None:
    if complaint is None:
        AdminClient.of(None, None, {URL_VARIABLE: url})
        return
    with pytest.raises(ConfigurationError, match=complaint):
        AdminClient.of(None, None, {URL_VARIABLE: url})


@pytest.mark.parametrize("text", ["", "a\nb", "sgk_" + TOKEN[4:], TOKEN[:-1], "Bearer " + TOKEN, "ключ"])
def test_a_file_that_holds_no_token_is_said_so_without_its_content(tmp_path: Path, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        AdminClient.of(None, None, {TOKEN_VARIABLE: str(file)})
    assert str(file) in str(refused.value)
    assert TOKEN[4:-1] not in str(refused.value)


def test_nobody_at_the_other_end_is_said_with_the_place() -> None:
    client = AdminClient.of(None, None, {URL_VARIABLE: "http://127.0.0.1:1"})
    with pytest.raises(AdminError, match=r"no proxy answers at http://127\.0\.0\.1:1"):
        client.ask("GET", "/readyz")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["flags", "lift", "account", "acme-7", "relay", "--why", "f\udcfcr sie"], "is not text in UTF-8"),
        (["keys", "create", "--account", "f\udcfcr"], "is not text in UTF-8"),
        (["flags", "show", "account", "f\udcfcr"], "no proxy answers"),
        (["flags", "list", "--account", "f\udcfcr"], "no proxy answers"),
    ],
)
def test_letters_of_another_terminal_are_said_to_be_none(words: list[str], complaint: str) -> None:
    told = CliRunner().invoke(app, words, env={URL_VARIABLE: "http://127.0.0.1:1"})
    assert (told.exit_code, complaint in told.stderr) == (1, True)


class _Older(BaseHTTPRequestHandler):
    """A proxy that tells as little as can be."""

    def do_GET(self) -> None:
        body = b'{"campaigns": [{}], "flags": [{}], "keys": [{}], "tokens": [{}], "samples": [{}]}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def older() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Older) as server:
        Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "words",
    [
        *("campaigns list", "campaigns show c", "campaigns show c --html page", "campaigns export c --to lines"),
        *("campaigns dismiss c --why x", "campaigns confirm c --why x", "flags list", "flags show account a"),
        *("keys list", "keys show k_1", "keys create --account a", "admin tokens list", "policy status"),
        *("policy rollback --why x", "log pseudonym a --why x"),
    ],
)
def test_a_proxy_that_does_not_tell_what_a_verb_shows_is_said_to_be_of_another_version(
    older: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = CliRunner().invoke(app, words.split(), env={URL_VARIABLE: older})
    assert told.exit_code == 1
    assert told.stderr.startswith("stillgate: the proxy is of another version than this command: it does not tell '")
    assert not list(tmp_path.iterdir())
