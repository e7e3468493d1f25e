"""The author's page says everything that a pack can say, and what it shows is true."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.main import get_command

from proxy.actions import ACTIONS
from proxy.cli import app
from proxy.detectors import field_table
from proxy.fields import Kind
from proxy.policy_testing.schema import AccountFixture, Expect, RequestFixture, Step
from proxy.rules.conditions.condition import Operator
from proxy.rules.conditions.operands import OPERATORS
from proxy.rules.diff import Kind as Change
from proxy.rules.pack.words import Approval, Measure, Mode, OnError, Scope, Severity
from proxy.rules.pack_file.loading import check_pack
from proxy.rules.pack_file.schema import DEFAULT_MESSAGE, PackFile
from proxy.rules.pack_file.schema_types import VARIABLES
from tests.model_keys import keys

SECTIONS = tuple(PackFile.model_fields)
FOLDER = Path(__file__).parent.parent / "policies"
PAGE = (FOLDER / "README.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
ROWS = {match[1] for match in re.finditer(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)}
TABLES = {
    match[1].strip("`"): [
        [cell.strip() for cell in line.strip("| ").split(" | ")] for line in match[2].strip().splitlines()
    ]
    for match in re.finditer(r"^\| ([^|\n]+) \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
}
VERBS = get_command(app).commands["policy"].commands  # type: ignore[attr-defined]  # groups


def named(table: str) -> list[str]:
    return [row[0].strip("`") for row in TABLES[table]]


@pytest.mark.parametrize("key", [key.name for key in keys(PackFile)])
def test_every_key_has_a_row(key: str) -> None:
    assert key in ROWS


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ("measure", Measure),
        ("per", Scope),
        ("mode", Mode),
        ("severity", Severity),
        ("on_error", OnError),
        ("approval", Approval),
        ("operator", Operator),
        ("change", Change),
    ],
)
def test_a_table_of_words_has_every_word_that_there_is_and_no_other(table: str, kind: type[StrEnum]) -> None:
    assert sorted(named(table)) == sorted(member.value for member in kind)


@pytest.mark.parametrize(
    ("table", "model"),
    [
        ("an account's key", AccountFixture),
        ("a request's key", RequestFixture),
        ("a step's key", Step),
        ("expect", Expect),
    ],
)
def test_a_table_of_test_keys_has_every_key_that_there_is_and_no_other(table: str, model: type[BaseModel]) -> None:
    assert sorted(named(table)) == sorted(field.alias or name for name, field in model.model_fields.items())


def test_the_variables_are_those_of_messages() -> None:
    assert named("variable") == [f"{{{variable}}}" for variable in VARIABLES]


def test_no_row_documents_a_key_that_does_not_exist() -> None:
    known = {key.name for key in keys(PackFile)}
    assert {row for row in ROWS if row.startswith(SECTIONS)} <= known


def test_the_default_message_is_quoted_as_it_is() -> None:
    assert f"`{DEFAULT_MESSAGE}`" in PAGE


@pytest.mark.parametrize("example", [example for example in EXAMPLES if "kind: PolicyTest" not in example])
def test_every_example_is_a_pack_without_a_problem(example: str) -> None:
    pack, problems = check_pack(example.encode(), "example.yaml")
    assert pack
    assert problems == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.name)
def test_every_pack_that_ships_has_no_problem(path: Path) -> None:
    pack, problems = check_pack(path.read_bytes(), path.name)
    assert pack
    assert problems == []


def test_the_default_pack_never_refuses_for_what_could_merely_be_used() -> None:
    """Every quota's concurrency, each call reserving the usual 16,384 tokens, fits into its token limit four times."""
    pack, _ = check_pack((FOLDER / "default.yaml").read_bytes(), "default.yaml")
    assert pack
    for quota in pack.quotas:
        most = {limit.measure: limit.max for limit in quota.limits}
        assert quota.mode is Mode.ENFORCE
        assert most.get(Measure.OUTPUT_TOKENS, 2**53) >= 4 * 16_384 * most[Measure.CONCURRENCY]


def test_the_fields_are_those_that_conditions_read() -> None:
    assert sorted(named("field")) == sorted(field_table())


def test_the_actions_and_their_parameters_say_what_the_code_says() -> None:
    told = [(f"`{kind.name}`", kind.summary) for kind in ACTIONS.values()]
    told += [(f"`{kind.name}.{name}`", text) for kind in ACTIONS.values() for name, text in kind.parameters.items()]
    assert sorted((name, text) for name, text in TABLES["action and parameter"]) == sorted(told)


def test_what_actions_show_and_leave_alone_is_what_the_code_says() -> None:
    assert TABLES["action"] == [[f"`{kind.name}`", kind.discloses, kind.never_touches] for kind in ACTIONS.values()]


def test_every_operator_is_shown_with_the_types_it_applies_to() -> None:
    for name, kinds, _ in TABLES["operator"]:
        assert kinds.split(", ") == [
            kind.value
            for kind in (Kind.TEXT, Kind.NUMBER, Kind.BOOLEAN, Kind.LIST)
            if name.strip("`") in OPERATORS[kind]
        ]


def test_what_a_signal_can_count_is_understood_by_the_checker() -> None:
    pack = """{{apiVersion: stillgate/v1, kind: PolicyPack, metadata: {{name: a, version: a, owner: a}},
      quotas: [{{id: q, per: key, mode: enforce, limits: [{{measure: requests, max: 1, window: 1m}}]}}],
      signals: {{s: {{count: {count}, per: key, window: 1m}}}}}}"""
    assert named("count") == ["requests", "distinct FIELD"]
    for count in named("count"):
        found, problems = check_pack(pack.format(count=count.replace("FIELD", "request.model")).encode(), "a.yaml")
        assert found, problems


def test_the_verbs_are_those_of_the_command_line() -> None:
    assert sorted(named("verb")) == sorted(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_exit_codes_of_a_verb_are_those_of_its_help(verb: str) -> None:
    promised = VERBS[verb].help.partition("Exit:")[2]
    [shown] = [row[2] for row in TABLES["verb"] if row[0] == f"`{verb}`"]
    codes = set(re.findall(r"\b[0-2]\b", shown))
    assert set(re.findall(r"\b[0-2]\b", promised)) <= codes
    assert codes <= set(re.findall(r"\b[0-2]\b", promised)) | {"2"}  # the command line's own, for wrong usage


@pytest.mark.parametrize("anchor", re.findall(r"\]\(#([a-z-]+)\)", PAGE))
def test_every_link_within_the_page_leads_to_a_heading(anchor: str) -> None:
    headings = re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
