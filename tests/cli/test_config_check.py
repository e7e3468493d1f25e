"""`stillgate config check`: what would keep a proxy from starting, in all files at once, without starting anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli import config_check
from proxy.cli.config import config
from proxy.decisions.signing import load_or_create_signer
from proxy.secrets import load_or_create_master

ROOT = Path(__file__).parents[2]
GOOD = """
apiVersion: stillgate/v1
kind: Settings
pack: pack.yaml
upstreams:
  main: {url: "https://api.example.com", credential_file: key.txt}
models:
  large: {upstream: main}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stillgate.yaml").write_text(GOOD)
    (tmp_path / "key.txt").write_text("canary-secret\n")
    (tmp_path / "pack.yaml").write_bytes((ROOT / "policies" / "observe.yaml").read_bytes())
    (tmp_path / "patterns").symlink_to(ROOT / "policies" / "patterns")
    return tmp_path


def run(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(config, ["check", "--config", str(folder / "stillgate.yaml"), *words])


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_good_settings_are_summed_up_and_nothing_is_made(folder: Path) -> None:
    before = sorted(folder.iterdir())
    result = run(folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "main at https://api.example.com" in result.stdout
    assert "models: large (no price);" in result.stdout
    assert "canary" not in result.stdout
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("gone/checkpoints", "there is no folder"),
        (".", "is a folder"),
        pytest.param(f"{'x' * 300}/checkpoints", "there is no folder", id="asking for it fails"),
    ],
)
def test_a_place_where_no_checkpoint_could_be_kept_is_warned_of(folder: Path, said: str, why: str) -> None:
    with (folder / "stillgate.yaml").open("a") as file:
        file.write(f"decision_log: {{checkpoints_file: {said}}}\n")
    result = run(folder)
    assert result.exit_code == 0
    assert f"warning: no checkpoint could be kept here: {why}" in result.stdout


def test_a_version_that_would_stand_twice_in_a_calls_path_is_warned_of(folder: Path) -> None:
    change(folder / "stillgate.yaml", "https://api.example.com", "https://api.example.com/v1/")
    result = run(folder)
    assert result.exit_code == 0
    assert "warning: upstreams.main.url: ends in /v1, and calls are sent to https://api.example.com/v1/v1/..." in (
        result.stdout
    )


def test_what_means_nothing_with_these_settings_is_warned_of(folder: Path) -> None:
    document = {
        "apiVersion": "stillgate/v1",
        "kind": "PolicyPack",
        "metadata": {"name": "a", "version": "1.0.0", "owner": "b"},
        "lists": {"big": ["large", "largr"]},
        "quotas": [
            {"id": "money", "per": "key", "limits": [{"measure": "cost_usd", "max": 5, "window": "1d"}]},
            {"id": "off", "per": "key", "mode": "off", "limits": [{"measure": "cost_usd", "max": 5, "window": "1d"}]},
            {
                "id": "all",
                "per": "key",
                "limits": [{"measure": measure, "max": 5, "window": "2d"} for measure in ("cost_usd", "requests")],
                "client": {"message": "Too much. {appeal_url} Docs {docs_url}."},
            },
        ],
        "signals": {"s": {"count": "requests", "per": "account", "window": "1h", "where": {"request.model": "lrage"}}},
        "rules": [
            {
                "id": f"r{number}",
                "when": {"any": [{"request.model": match}, {"signals.s": {"gte": 1}}]},
                "flag": {"name": f"f{number}", "on": "account", "score": 40, "ttl": "1d"},
                "reason": "x",
            }
            for number, match in enumerate(
                [{"in": "$big"}, {"ne": "small"}, {"starts_with": "lar"}, "large", {"not_in": ["", "smal"]}]
            )
        ],
        "ladder": [{"rung": "low", "score": 40}],
    }
    (folder / "pack.yaml").write_text(json.dumps(document, indent=1))
    result = run(folder, "--format", "json")
    unknown = "the settings list no model {}: no request that is judged names it"
    assert result.exit_code == 0
    assert [(one["severity"], one["message"], one["suggestion"]) for one in json.loads(result.stdout)] == [
        ("warning", unknown.format("'largr'"), "large"),
        ("warning", "no model of the settings has a price: the quota money counts nothing", ""),
        ("warning", "the settings have no docs_url: customers read this sentence without it", ""),
        ("warning", unknown.format("'lrage'"), "large"),
        ("warning", unknown.format("'small'"), ""),
        ("warning", unknown.format("'smal'"), ""),
    ]
    change(folder / "stillgate.yaml", "{upstream: main}", "{upstream: main, input_usd_per_million: 1}")
    with (folder / "stillgate.yaml").open("a") as file:
        file.write("  lrage: {upstream: main}\ndocs_url: 'https://example.com/limits'\n")
    found = [one["message"] for one in json.loads(run(folder, "--format", "json").stdout)]
    assert found == [unknown.format(name) for name in ("'largr'", "'small'", "'smal'")]


@pytest.mark.parametrize("pack", ["default", "observe", "strict"])
def test_the_shipped_packs_have_nothing_to_be_warned_of_with_bare_settings(folder: Path, pack: str) -> None:
    (folder / "pack.yaml").write_bytes((ROOT / "policies" / f"{pack}.yaml").read_bytes())
    assert json.loads(run(folder, "--format", "json").stdout) == []
    (folder / "stillgate.yaml").write_text("apiVersion: stillgate/v1\nkind: Settings\npack: pack.yaml\n")
    assert json.loads(run(folder, "--format", "json").stdout) == []


def test_a_collector_without_the_libraries_that_speak_to_it_is_shown_with_the_fix(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (folder / "stillgate.yaml").open("a") as file:
        file.write("trace: {otlp_url: 'http://127.0.0.1:4318/v1/traces'}\n")
    assert run(folder).exit_code == 0
    monkeypatch.setattr(config_check, "find_spec", lambda _: None)
    result = run(folder)
    assert result.exit_code == 1
    assert "pip install 'stillgate[otel]'" in result.stdout


def test_a_header_for_the_collector_that_is_none_is_shown(folder: Path) -> None:
    (folder / "header.txt").write_text("canary-collector\n")
    with (folder / "stillgate.yaml").open("a") as file:
        file.write("trace: {otlp_url: 'http://127.0.0.1:4318/v1/traces', otlp_header_file: header.txt}\n")
    result = run(folder)
    assert result.exit_code == 1
    assert "header.txt: error: holds no header such as authorization: Bearer" in result.stdout
    assert "canary" not in result.stdout
    (folder / "header.txt").write_text("x-collector-team: canary-collector\n")
    assert run(folder).exit_code == 0


def test_a_parameter_that_cannot_be_allowed_is_shown(folder: Path) -> None:
    with (folder / "stillgate.yaml").open("a") as file:
        file.write("allow_parameters: [top_k, Stream]\n")
    result = run(folder)
    assert result.exit_code == 1
    assert "settings: error: The request argument 'Stream' cannot be allowed: it stands for" in result.stdout


def test_a_mistake_is_shown_with_its_line_its_column_and_what_was_meant(folder: Path) -> None:
    change(folder / "stillgate.yaml", "upstream: main", "upstream: mian")
    result = run(folder, "--format", "json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)
    assert (problem["line"], problem["column"], problem["suggestion"]) == (8, 21, "main")


def test_secrets_and_the_pack_are_checked_in_one_go(folder: Path) -> None:
    (folder / "key.txt").write_text("")
    change(folder / "pack.yaml", "ladder:", "lader:")
    result = run(folder)
    assert result.exit_code == 1
    assert f"{folder / 'key.txt'}: error: is empty" in result.stdout
    assert "ladder" in result.stdout


@pytest.mark.parametrize("named", [True, False])
def test_keys_of_its_own_that_a_start_would_refuse_are_shown(folder: Path, *, named: bool) -> None:
    if named:
        with (folder / "stillgate.yaml").open("a") as file:
            file.write("secret_file: own/master.secret\ndecision_log: {key_file: own/log.key}\n")
    own = folder / ("own" if named else ".stillgate")
    own.mkdir()
    change(folder / "stillgate.yaml", "pack: pack.yaml", "pack: pack.yaml\ndata: .stillgate")
    assert run(folder).exit_code == 0, "they are made"
    secret, key = own / "master.secret", own / "log.key"
    load_or_create_master(secret)
    load_or_create_signer(key, "acme/log")
    assert run(folder).exit_code == 0
    secret.chmod(0o644)
    key.write_text("canary\n")
    result = run(folder)
    assert result.exit_code == 1
    assert f"{secret}: error: others than its owner may read the master secret" in result.stdout
    assert f"{key}: error: is not a log's private key" in result.stdout
    assert "canary" not in result.stdout


@pytest.mark.parametrize(
    "said", ["decision_log: {folder: here}", "decision_log: {folder: here/decisions}", "data: here"]
)
def test_a_file_where_a_start_would_make_a_folder_is_shown(folder: Path, said: str) -> None:
    with (folder / "stillgate.yaml").open("a") as file:
        file.write(f"{said}\n")
    assert run(folder).exit_code == 0
    (folder / "here").touch()
    result = run(folder)
    assert (result.exit_code, f"must be a folder, and {folder / 'here'} is not" in result.stdout) == (1, True)


def test_a_file_of_an_issuers_keys_without_a_key_that_can_be_used_is_shown(folder: Path) -> None:
    (folder / "stillgate.yaml").write_text(
        GOOD
        + "issuers:\n  login: {issuer: 'https://login.example.com', audience: [me], jwks_file: keys.json, algorithms: [RS256]}\n"
    )
    (folder / "keys.json").write_text('{"keys": []}')
    result = run(folder)
    assert result.exit_code == 1
    assert f"{folder / 'keys.json'}: error: no key in it that the algorithms allow" in result.stdout


STORE = "store: {store}\nsecret_file: key.txt\nstore_tls: {tls}\n"


@pytest.mark.parametrize(
    ("store", "tls", "line", "column", "says"),
    [
        ("redis://host", "{server_name: host}", 11, 1, "the store's address is not one with TLS"),
        ("rediss://host", "{certificate_file: key.txt}", 11, 31, "a certificate and its key come together"),
        ("rediss://host", "{key_file: key.txt}", 11, 23, "a certificate and its key come together"),
        ("rediss://host", "{ca_file: none.pem}", 11, 22, "there is no such file"),
        ("rediss://host", "{verify: false}", 11, 13, "unknown key 'verify'"),
        ("rediss://host:port", "{}", 9, 8, "should name a host and its port"),
        ("redis://one,two", "{}", 9, 8, "names several servers"),
        ("redis+sentinel://one,two:26380", "{}", 9, 8, "must say by which name the sentinels know the server"),
        ("redis+sentinel://one,:1/main", "{}", 9, 8, "should name a host and its port"),
        ("redis+sentinel://one/main/first", "{}", 9, 8, "should end with the number of a database"),
        ("redis+cluster://one,two/1", "{}", 9, 8, "a cluster has no other database than 0"),
        ("redis+sentinel://one/main", "{server_name: one}", 11, 1, "the store's address is not one with TLS"),
        ("rediss://host?ssl_cert_reqs=none", "{}", 9, 8, "takes no option but db"),
    ],
)
def test_a_mistake_about_a_store_behind_tls_is_shown_where_it_stands(
    folder: Path, store: str, tls: str, line: int, column: int, says: str
) -> None:
    (folder / "stillgate.yaml").write_text(GOOD + STORE.format(store=store, tls=tls))
    result = run(folder, "--format", "json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)
    assert says in problem["message"]
    assert (problem["line"], problem["column"]) == (line, column)


def test_a_password_of_sentinels_that_there_are_none_of_is_shown(folder: Path) -> None:
    (folder / "stillgate.yaml").write_text(
        f"{GOOD}store: redis://one\nsecret_file: key.txt\nsentinel_password_file: key.txt\n"
    )
    result = run(folder, "--format", "json")
    (problem,) = json.loads(result.stdout)
    assert problem["message"].startswith("only a store at redis+sentinel://")
    assert (problem["line"], problem["column"]) == (11, 25)


def test_only_a_shared_store_can_be_away_at_the_start(folder: Path) -> None:
    (folder / "stillgate.yaml").write_text(f"{GOOD}store_away_at_start: serve\n")
    result = run(folder, "--format", "json")
    (problem,) = json.loads(result.stdout)
    assert problem["message"].startswith("only a shared store can be away")
    assert (problem["line"], problem["column"]) == (9, 22)


def test_a_file_that_holds_no_certificates_is_shown(folder: Path) -> None:
    (folder / "stillgate.yaml").write_text(GOOD + STORE.format(store="rediss://host", tls="{ca_file: key.txt}"))
    result = run(folder)
    assert result.exit_code == 1
    assert f"{folder / 'key.txt'}: error: cannot be used for TLS to the store" in result.stdout


def test_a_model_that_only_the_pack_names_is_an_error_here_too(folder: Path) -> None:
    (folder / "pack.yaml").write_text(
        """
apiVersion: stillgate/v1
kind: PolicyPack
metadata: {name: p, version: "1", owner: o}
ladder:
  - {rung: small, score: 10, do: [{reroute: {model: larg}}]}
"""
    )
    result = run(folder)
    assert result.exit_code == 1
    assert "the settings list no model 'larg' - did you mean 'large'?" in result.stdout


@pytest.mark.parametrize("missing", ["stillgate.yaml", "pack.yaml"])
def test_a_file_that_is_not_there_has_an_exit_code_of_its_own(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    result = run(folder)
    assert result.exit_code == 2
    assert missing in result.stdout
