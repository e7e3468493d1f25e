"""Settings: defaults, what a file may say, every contradiction, and credentials that are never shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from proxy import config
from proxy.config import Settings, load_settings
from proxy.documents.problem import YamlProblems
from proxy.settings.store_address import StoreAddress
from proxy.settings.upstreams import Model
from tests.model_keys import keys

HEAD = "apiVersion: stillgate/v1\nkind: Settings\n"
UPSTREAM = "upstreams: {default: {url: https://api.example.com}}\n"
MODEL = "models: {large: {}}\n"
NO_SHARED_SECRET = (
    "a shared store needs a secret_file that exists, the same for every replica; make it once with "
    "(umask 077; head -c 32 /dev/urandom | base64 > FILE)"
)


def load(folder: Path, text: str, overrides: Mapping[str, object] | None = None) -> Settings:
    path = folder / "settings.yaml"
    path.write_text(HEAD + text)
    return load_settings(path, overrides or {})


def refused(folder: Path, text: str, overrides: Mapping[str, object] | None = None) -> list[str]:
    """Return the problems of settings that must be refused, as `line:column: message`; the head is two lines."""
    with pytest.raises(YamlProblems) as caught:
        load(folder, text, overrides)
    return [f"{problem.line}:{problem.column}: {problem.sentence()}" for problem in caught.value.problems]


def test_without_a_file_everything_has_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = load_settings(None, {})
    assert (found.listen.host, found.listen.port, found.admin.host, found.admin.port) == (
        "127.0.0.1", 8080, "127.0.0.1", 9090,
    )  # fmt: skip
    assert (found.workers, str(found.store), found.store.shared, found.uses_stand_in) == (1, "embedded", False, True)
    assert found.master_secret == Path(".stillgate/master.secret")
    assert found.decisions_folder == Path(".stillgate/decisions")
    assert found.pack == Path(__file__).parents[1] / "policies" / "default.yaml"
    # Whatever lets somebody in, or goes on where something is wrong, has to be asked for.
    assert (found.trusted_hops, found.trace.trust_clients, found.allow_betas, found.public_ids) == (0, False, (), ())
    assert (found.store_away_at_start, found.starts_without_store) == ("refuse", False)
    assert (found.decision_log.when_cut, found.decision_log.samples.public_key) == ("refuse", None)
    assert (found.max_mode, found.issuers) == ("enforce", {})


def test_the_nearest_pack_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert config._PACKS[:2] == (Path("policies/default.yaml"), Path("/etc/stillgate/policies/default.yaml"))
    places = [tmp_path / place / "default.yaml" for place in ("own", "installed", "wheel", "repository")]
    monkeypatch.setattr(config, "_PACKS", tuple(places))
    for place in reversed(places):
        place.parent.mkdir()
        place.touch()
        assert load_settings(None, {}).pack == place


def test_relative_paths_belong_to_the_files_folder_and_those_of_the_command_line_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "etc", tmp_path / "elsewhere"
    for made in (folder, elsewhere):
        made.mkdir()
    monkeypatch.chdir(elsewhere)
    found = load(folder, "data: data\npack: pack.yaml\ndecision_log: {folder: /var/log/x}\n", {"pack": Path("p.yaml")})
    assert found.data == folder / "data"
    assert found.pack == elsewhere / "p.yaml"
    assert found.decisions_folder == Path("/var/log/x")
    assert found.master_secret == folder / "data" / "master.secret"


def test_what_a_file_does_not_name_is_beside_it_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, elsewhere = tmp_path / "etc", tmp_path / "elsewhere"
    for made in (folder, elsewhere):
        (made / "policies").mkdir(parents=True)
        (made / "policies" / "default.yaml").touch()
    monkeypatch.chdir(elsewhere)
    found = load(folder, "")
    assert (found.data, found.pack) == (folder / ".stillgate", folder / "policies" / "default.yaml")
    assert load_settings(None, {}).data == Path(".stillgate"), "without a file it is where the command runs"
    assert load_settings(None, {}).pack == Path("policies/default.yaml")


def test_of_settings_that_a_shell_hands_over_all_is_where_the_command_runs(tmp_path: Path) -> None:
    """Among the devices nothing lasts, and everybody looks."""
    (tmp_path / "settings.yaml").write_text(HEAD)
    with (tmp_path / "settings.yaml").open() as opened:
        for path in (f"/dev/fd/{opened.fileno()}", f"/proc/self/fd/{opened.fileno()}"):
            opened.seek(0)
            assert load_settings(Path(path), {}).data == Path(".stillgate")


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    said = {"workers": 3, "host": "::1", "port": 0, "store": None, "admin.port": 7000, "decision_log.to": "stdout"}
    found = load(tmp_path, "workers: 2\nlisten: {port: 1234}\nlimits: {exchanges: 7}\n", said)
    assert (found.workers, found.listen.host, found.listen.port, found.admin.port) == (3, "::1", 0, 7000)
    assert (found.decision_log.to, found.limits.exchanges) == ("stdout", 7)


def test_a_wrong_word_on_the_command_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(YamlProblems) as caught:
        load_settings(None, {"workers": 0, "port": 70_000, "stroe": "memory"})
    assert str(caught.value).splitlines() == [
        "command line: error: listen.port: should be at most 65535",
        "command line: error: workers: should be at least 1",
        "command line: error: stroe: unknown key 'stroe' - did you mean 'store'?",
    ]
    problems = refused(tmp_path, "workers: 99\n", {"workers": 0})
    assert set(problems) == {"0:0: workers: should be at least 1", "3:10: should be at most 64"}


def test_a_contradiction_with_the_command_line_does_not_blame_the_line_it_replaced(tmp_path: Path) -> None:
    problems = refused(tmp_path, "workers: 2\nstore: embedded\n", {"store": "redis://host"})
    assert [problem.partition(" a shared store needs")[0] for problem in problems] == ["1:1:"]


def test_upstreams_models_and_prices_are_read(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-canary")
    found = load(
        tmp_path,
        "upstreams:\n  eu: {url: 'https://api.example.com:8443/base/', credential_file: key, connect_seconds: 2}\n"
        "models:\n  org/large-1.5:\n    {upstream: eu, max_output_tokens: 8192, input_usd_per_million: 0.0375, "
        "output_usd_per_million: 15}\n",
    )
    upstream, model = found.upstreams["eu"], found.models["org/large-1.5"]
    assert (upstream.url, upstream.credential_file) == ("https://api.example.com:8443/base", tmp_path / "key")
    assert (upstream.connect_seconds, upstream.total_seconds, model.max_output_tokens) == (2.0, 1800.0, 8192)
    assert not found.uses_stand_in
    assert (model.input_picodollars, model.output_picodollars) == (37_500, 15_000_000)


@given(st.integers(0, 10**12))
def test_every_price_of_six_decimals_is_exact(picodollars: int) -> None:
    dollars = Decimal(picodollars) / 1_000_000
    model = Model.model_validate_json(f'{{"input_usd_per_million": {dollars:f}}}')
    assert model.input_picodollars == picodollars


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("worker: 3\n", ["3:1: unknown key 'worker' - did you mean 'workers'?"]),
        ("listen: {prot: 3}\n", ["3:10: unknown key 'prot' - did you mean 'port'?"]),
        ("listen: {port: 99999}\n", ["3:16: should be at most 65535"]),
        ("listen: {port: '80'}\n", ["3:16: should be a whole number"]),
        ("listen: {host: 'a b'}\n", ["3:16: should be an address or a host name"]),
        ("listen: {host: a..b}\n", ["3:16: should be an address or a host name"]),
        (f"health: {{host: {'a' * 64}.com, port: 9}}\n", ["3:16: should be an address or a host name"]),
        ("listen: {host: yes, port: true}\n", ["3:27: should be a whole number"]),
        ("listen: null\n", ["3:9: should be a map of keys and values"]),
        ("admin: {port: 8080}\n", ["3:15: customers and the admin side cannot share one address and port"]),
        ("health: {port: 9090}\n", ["3:16: customers or the admin side have this port already"]),
        ("health: {port: 0}\n", ["3:16: should be at least 1"]),
        ("trace: {otlp_url: collector}\n", [
            "3:19: should be an http or https origin with an optional path, such as https://api.example.com"
        ]),
        ("trace: {sample: 2}\n", ["3:17: should be at most 1"]),
        ("limits: {memory_bytes: 1000}\n", ["3:24: should be at least 67108864"]),
        ("workers: 65\n", ["3:10: should be at most 64"]),
        ("workers: 2.0\n", ["3:10: should be a whole number"]),
        ("workers: 2\nworkers: 3\n", ["4:1: duplicate key 'workers', first on line 3"]),
        ("data: 3\n", ["3:7: should be a path"]),
        ("data: ''\n", ["3:7: should be a path"]),
        ("trusted_hops: -1\n", ["3:15: should be at least 0"]),
        ("allow_parameters: [seed, a b]\n", ["3:26: should be the name of a request's top-level key"]),
        ("allow_betas: ['a, b']\n", ["3:15: should be the name of a beta, as `anthropic-beta` has it"]),
        ("decision_log: {to: syslog}\n", ["3:20: should be file or stdout"]),
        ("limits: {idle_seconds: 0}\n", ["3:24: should be greater than 0"]),
        ("limits: {connections: 10}\n", [
            "3:23: one address may have more connections than there are: lower connections_per_peer too"
        ]),
        ("docs_url: 'javascript:x'\n", ["3:11: should be an http, https or mailto link"]),
        ("store_password_file: nope\n", [
            "3:22: there is no such file, or it cannot be seen",
            "3:22: only a shared store, named by its URL, has a password",
        ]),
        (UPSTREAM, [
            "3:1: list the models that customers may name, such as models: {large: {upstream: default}}"
        ]),
        (MODEL, ["3:10: there is no upstream 'default'"]),
        ("upstreams: 3\nmodels: {large: {}}\n", ["3:12: should be a map of keys and values"]),
        (UPSTREAM + "models: {large: {upstream: defalt}}\n", [
            "4:28: there is no upstream 'defalt' - did you mean 'default'?"
        ]),
        (UPSTREAM + "models: {large: {upstream: 3}}\n", ["4:28: should be text: put it in quotes"]),
        (UPSTREAM + "models: {'': {}}\n", ["4:10: should be 1 to 128 visible ASCII characters"]),
        (UPSTREAM + "models: {large: {output_usd_per_million: 0.0000001}}\n", [
            "4:42: has more than six decimals: nothing is finer than a picodollar per token"
        ]),
        (UPSTREAM + "models: {large: {output_usd_per_million: '1'}}\n", ["4:42: should be a number of dollars"]),
        (UPSTREAM + "models: {large: {output_usd_per_million: -1}}\n", ["4:42: should be from 0 to 1000000 dollars"]),
        ("store_password_file: " + "x" * 300 + "\nstore: redis://host\nsecret_file: " + "y" * 300, [
            "3:22: there is no such file, or it cannot be seen",
            f"4:8: {NO_SHARED_SECRET}",
        ]),
        (UPSTREAM.replace("url", "credential_file: nope, url") + MODEL, [
            "3:40: there is no such file, or it cannot be seen"
        ]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_where_it_stands(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert refused(tmp_path, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "listen: {port: 0}\nadmin: {port: 0}\n",
        "listen: {host: '::1', port: 9090}\n",
        "listen: {port: 0}\nhealth: {port: 8080}\n",
        "limits: {connections: 1000}\n",
        "limits: {connections: 10, connections_per_peer: 10}\n",
    ],
)
def test_what_only_looks_like_a_contradiction_is_none(tmp_path: Path, text: str) -> None:
    load(tmp_path, text)


def test_all_problems_are_found_in_one_pass(tmp_path: Path) -> None:
    text = "a: &x 1\nworkers: 99\nlisten: {prot: 1}\n" + MODEL + "store: redis://host\n"
    assert [problem.split(": ")[0] for problem in refused(tmp_path, text)] == [
        "3:1", "3:4", "4:10", "5:10", "6:10", "7:8",
    ]  # fmt: skip


def test_another_kind_of_file_is_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(HEAD.replace("Settings", "PolicyPack"))
    with pytest.raises(YamlProblems, match="2:7: error: should be Settings"):
        load_settings(path, {})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_admin_side_may_listen_on_loopback(tmp_path: Path, host: str) -> None:
    assert load(tmp_path, f"admin: {{host: '{host}'}}\n").admin.host == host


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "10.0.0.1", "example.com", "127.0.0.1.example.com", "::ffff:8.8.8.8"]
)
def test_the_admin_side_listens_nowhere_else(tmp_path: Path, host: str) -> None:
    """G-12."""
    assert refused(tmp_path, f"admin: {{host: '{host}'}}\n") == [
        "3:15: the admin side listens on loopback only in this release, such as 127.0.0.1"
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://api.example.com", "should be an http or https origin"),
        ("api.example.com", "should be an http or https origin"),
        ("https://", "should be an http or https origin"),
        ("https://api.example.com:99999", "should be an http or https origin"),
        ("https://[::1", "should be an http or https origin"),
        ("https://[::1]x:80", "should be an http or https origin"),
        ("https://[v1.a]", "should be an http or https origin"),
        ("https://api..example.com", "should be an http or https origin"),
        (f"https://{'a' * 64}.example.com", "should be an http or https origin"),
        ("https://api.example.com/a b", "should be an http or https origin"),
        ("https://api.example.com\\\\@evil.example", "should be an http or https origin"),
        ("https://user:CANARY@api.example.com", "put the credential into a file"),
        ("https://api.example.com?key=1", "has a query or a fragment"),
        ("https://api.example.com/#x", "has a query or a fragment"),
        ("https://api.example.com/v1/../admin", "has a path with //, dots or escapes"),
        ("https://api.example.com//v1", "has a path with //, dots or escapes"),
        ("https://api.example.com/%2e", "has a path with //, dots or escapes"),
    ],
)
def test_an_upstream_is_an_origin_with_a_plain_path(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(YamlProblems) as caught:
        load(tmp_path, f'upstreams: {{default: {{url: "{url}"}}}}\n{MODEL}')
    assert message in str(caught.value)
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["redis://user:CANARY@10.0.0.1:6379/0", "rediss://:CANARY@host", "unix://:CANARY@/run/valkey.sock?db=1",
     "redis://user:CAN@ARY@host"],
)  # fmt: skip
def test_a_shared_stores_credentials_are_never_shown(tmp_path: Path, url: str) -> None:
    (tmp_path / "master.secret").touch()
    found = load(tmp_path, f"store: {url}\nsecret_file: master.secret\n")
    assert found.store.url == url
    assert found.store.shared
    for shown in (repr(found), str(found.store), f"{found.store}", found.model_dump_json(), repr(found.model_dump())):
        assert "CAN" not in shown
        assert "ARY" not in shown
        assert "***@" in shown


@pytest.mark.parametrize(
    "url",
    ["redis://:CANARY@", "redis://:CANARY@host:x", "http://:CANARY@host", "redis://host?password=CANARY", "CANARY://x",
     "redis://:CANARY@host#x", "unix://"],
)  # fmt: skip
def test_a_store_that_is_none_is_refused_without_showing_its_credentials(tmp_path: Path, url: str) -> None:
    with pytest.raises(YamlProblems) as caught:
        load(tmp_path, f"store: {url}\n")
    assert "CANARY@" not in str(caught.value)
    assert "=CANARY" not in str(caught.value)
    with pytest.raises(YamlProblems) as caught:
        load_settings(None, {"store": url})
    assert "CANARY" not in str(caught.value)


def test_a_shared_store_needs_a_secret_that_all_replicas_have(tmp_path: Path) -> None:
    for text in ("store: redis://host\n", "store: redis://host\nsecret_file: missing\n"):
        assert refused(tmp_path, text) == [f"3:8: {NO_SHARED_SECRET}"]


def test_a_shared_stores_password_stands_in_one_place(tmp_path: Path) -> None:
    for name in ("master.secret", "password"):
        (tmp_path / name).touch()
    files = "secret_file: master.secret\nstore_password_file: password\n"
    assert load(tmp_path, f"store: redis://host\n{files}").store_password_file == tmp_path / "password"
    for login in (":x", "user:x", "user:x@y"):
        assert refused(tmp_path, f"store: redis://{login}@host\n{files}") == [
            "3:8: has a password besides the one in store_password_file: take it out"
        ]
    assert load(tmp_path, f"store: redis://user@host\n{files}").store.url == "redis://user@host"


def test_a_shared_store_can_say_it_all(tmp_path: Path) -> None:
    for name in ("master.secret", "password", "pem"):
        (tmp_path / name).touch()
    shared = "store: rediss+sentinel://host/main\nsecret_file: master.secret\n"
    ways = (
        "store_password_file: password\nsentinel_password_file: password\nstore_away_at_start: serve\n"
        "store_tls: {ca_file: pem, certificate_file: pem, key_file: pem, server_name: host}\n"
    )
    found = load(tmp_path, shared + ways)
    assert (found.sentinel_password_file, found.store_tls.key_file) == (tmp_path / "password", tmp_path / "pem")
    assert found.starts_without_store
    assert not load(tmp_path, shared).starts_without_store
    assert len(refused(tmp_path, ways)) == 4, (
        "the embedded store has no password, no sentinels, no TLS and is never away"
    )


def test_every_setting_has_a_description_and_its_default() -> None:
    found = {key.name: key for key in keys(Settings)}
    assert {"listen.port", "upstreams.<name>.url", "models.<name>.max_output_tokens", "limits.body_bytes"} <= set(found)
    assert (found["listen.port"].default, found["store"].default, found["listen"].default) == ("8080", "embedded", "")
    assert [key.name for key in found.values() if not key.description.endswith(".") or len(key.description) < 10] == []


def test_a_store_address_compares_by_its_url() -> None:
    assert StoreAddress("embedded") == StoreAddress("embedded")
    assert str(StoreAddress("redis://host/0")) == "redis://host/0"


misshapen = st.recursive(
    st.sampled_from([None, True, 0, -1, 2.5, "", "embedded", "redis://host", "x" * 300]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from(["url", "upstream", "host", "port", "connections", "x"]), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sections=st.dictionaries(
        st.sampled_from(sorted({key.name.split(".")[0] for key in keys(Settings)})),
        st.one_of(st.text(max_size=40), misshapen.map(json.dumps)),
        max_size=4,
    )
)
def test_no_text_raises_anything_but_problems(tmp_path: Path, sections: dict[str, str]) -> None:
    path = tmp_path / "settings.yaml"
    text = HEAD + "".join(f"{key}: {value}\n" for key, value in sections.items())
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        load_settings(path, {})
    except YamlProblems as error:
        problems = error.problems
    else:
        problems = ()
    assert all(problem.render() for problem in problems)


@pytest.mark.parametrize(("text", "seconds"), [("2026-01-31", 1_769_817_600.0), ("1970-01-01", 0.0)])
def test_a_model_is_released_at_the_beginning_of_its_day(text: str, seconds: float) -> None:
    assert Model.model_validate_json(f'{{"released": "{text}"}}').released_at == seconds


@pytest.mark.parametrize("text", ["2026-02-30", "31.01.2026", "20260131", "2026-01-31T00:00:00", ""])
def test_a_release_that_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="should be a date such as 2026-01-31"):
        Model.model_validate_json(f'{{"released": "{text}"}}')
