"""The settings of issuers: what they say without words, every contradiction, and each fault with its fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_config import load, refused

HEAD = "issuers:\n  corp:\n    issuer: https://login.example.com\n    audience: [gate]\n"
RS = HEAD + "    algorithms: [RS256]\n"
URL = RS + "    jwks_url: https://login.example.com/jwks\n"


def test_an_issuer_needs_four_lines_and_has_careful_defaults(tmp_path: Path) -> None:
    found = load(tmp_path, URL).issuers["corp"]
    assert (found.issuer, found.audience, found.algorithms) == ("https://login.example.com", ("gate",), ("RS256",))
    assert (found.max_lifetime_seconds, found.leeway_seconds, found.refresh_seconds) == (86_400, 30, 300)
    assert (found.max_age_seconds, found.names, found.plan, found.tenant) == (43_200, "apart", "default", None)
    assert (found.claims.account, found.claims.tenant, found.claims.attributes) == ("sub", None, {})


def test_an_issuer_can_say_it_all(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s" * 64)
    text = (
        "    algorithms: [HS256, HS512]\n    secret_file: secret\n    max_lifetime_seconds: 604800\n"
        "    require: {azp: [web, app]}\n    names: shared\n    plan: pro\n"
        "    claims: {account: user.id, tenant: 'https://a.example/org', attributes: {payment: user.card}}\n"
    )
    found = load(tmp_path, HEAD + text).issuers["corp"]
    assert found.secret_file == tmp_path / "secret"
    assert found.require == {"azp": ("web", "app")}
    assert found.claims.attributes == {"payment": "user.card"}


def test_a_tenant_of_all_its_callers_stands_beside_other_claims(tmp_path: Path) -> None:
    found = load(tmp_path, f"{URL}    tenant: acme\n    claims: {{plan: plan}}\n").issuers["corp"]
    assert (found.tenant, found.claims.plan) == ("acme", "plan")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/jwks", "http://localhost/jwks", "http://[::1]/jwks", "https://a.example/k?p=b2c&v=1"]
)
def test_keys_come_over_https_or_from_this_machine(tmp_path: Path, url: str) -> None:
    assert load(tmp_path, f"{RS}    jwks_url: '{url}'\n").issuers["corp"].jwks_url == url


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/k",
        "https://",
        "https:///k",
        "https://[::1]x/k",
        "https://a..example/k",
        "https://a.example/a k",
        r"https://a.example\k",
        "https://a.example/k#1",
    ],
)
def test_keys_come_from_nowhere_else(tmp_path: Path, url: str) -> None:
    assert refused(tmp_path, f"{RS}    jwks_url: '{url}'\n") == [
        "8:15: should be an https URL, such as https://login.example.com/jwks.json"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (RS, ["4:3: needs its keys: say one of jwks_url, jwks_file, secret_file"]),
        (HEAD + "    algorithms: [HS256]\n", ["4:3: needs its keys: say one of jwks_url, jwks_file, secret_file"]),
        (HEAD, ["4:3: needs its keys: say one of jwks_url, jwks_file, secret_file", "4:3: the key 'algorithms' is missing here"]),
        (f"{HEAD}    jwks_url: https://a.example\n    algorithms: []\n", ["8:17: should have 1 to 16 entries"]),
        (f"{HEAD}    jwks_url: https://a.example\n    algorithms: [none]\n", ["8:18: should be RS256"]),
        (f"{HEAD}    jwks_url: https://a.example\n    algorithms: [RS265]\n", ["8:18: should be RS256"]),
        (
            f"{HEAD}    jwks_url: https://a.example\n    algorithms: [RS256, HS256]\n",
            ["8:25: takes a secret that both sides know: public keys would do for it, so it needs a secret_file"],
        ),
        (
            f"{HEAD}    secret_file: here\n    algorithms: [RS256]\n",
            ["8:18: takes a key pair, and secret_file has one secret: say HS256, HS384 or HS512"],
        ),
        (f"{URL}    jwks_file: here\n", ["9:16: has its keys from jwks_url already: take one of the two out"]),
        (f"{RS}    jwks_file: nowhere\n", ["8:16: there is no such file, or it cannot be seen"]),
        (f"{RS}    jwks_url: http://a.example/k\n", ["8:15: should be https: whoever can change what comes over http could let anybody in"]),
        (f"{RS}    jwks_url: https://me:pw@a.example/k\n", ["8:15: has a user name or password: a set of public keys needs none"]),
        (f"{RS}    jwks_url: file:///etc/jwks\n", ["8:15: should be an https URL, such as https://login.example.com/jwks.json"]),
        (f"{RS}    jwks_url: https://a.example:x/\n", ["8:15: should be an https URL, such as https://login.example.com/jwks.json"]),
        (f"{URL}    jwks: x\n", ["9:5: unknown key 'jwks' - did you mean 'jwks_url'?"]),
        (f"{URL}    max_age_seconds: 60\n", ["9:22: keys would be too old before they are fetched again: make it longer than refresh_seconds"]),
        (f"{URL}    max_age_seconds: long\n", ["9:22: should be a number"]),
        (f"{URL}    refresh_seconds: often\n", ["9:22: should be a number"]),
        (f"{URL}    max_lifetime_seconds: 0\n", ["9:27: should be greater than 0"]),
        (f"{URL}    tenant: a b\n", ["9:13: should be 1 to 128 letters, digits or ._:@/- and begin with a letter or digit"]),
        (f"{URL}    claims: {{attributes: {{peer: ip}}}}\n", ["9:27: peer is what callers' own addresses are known by: name the attribute otherwise"]),
        (f"{URL}    tenant: acme\n    claims: {{tenant: org}}\n", ["9:13: its callers have this tenant or the one of a claim: take one of the two out"]),
        (f"{URL}    claims: {{account: user id}}\n", ["9:23: should be 1 to 512 visible ASCII characters"]),
        (f"{URL}    names: mine\n", ["9:12: should be apart or shared"]),
        (f"{URL}    audience: []\n", ["9:5: duplicate key 'audience', first on line 6"]),
        (f"{URL}    require: {{azp: []}}\n", ["9:20: should have 1 to 16 entries"]),
        (
            URL + URL.removeprefix("issuers:\n").replace("corp", "corp2"),
            ["10:13: is the issuer of 'corp' already: tokens could not tell the two apart"],
        ),
        (URL.replace("corp", "Corp"), ["4:3: should be 1 to 64 lower-case letters, digits, - and _"]),
        ("issuers: {corp: 3}\n", ["3:17: should be a map of keys and values"]),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_line_and_fix(tmp_path: Path, text: str, expected: list[str]) -> None:
    (tmp_path / "here").touch()
    problems = refused(tmp_path, text)
    assert len(problems) == len(expected), problems
    for problem, wanted in zip(sorted(problems), sorted(expected), strict=True):
        assert problem.startswith(wanted), problem
