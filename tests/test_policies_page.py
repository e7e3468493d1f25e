"""The author's page says everything that a pack can say, and what it shows is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proxy.rules.pack import Measure, Mode, Scope
from proxy.rules.pack_loading import check_pack
from proxy.rules.pack_schema import DEFAULT_MESSAGE, VARIABLES, PackFile
from proxy.strict_model import keys

FOLDER = Path(__file__).parent.parent / "policies"
PAGE = (FOLDER / "README.md").read_text()
ROWS = {match[1] for match in re.finditer(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)}


@pytest.mark.parametrize("key", [key.name for key in keys(PackFile)])
def test_every_key_has_a_row(key: str) -> None:
    assert key in ROWS


@pytest.mark.parametrize("kind", [Measure, Scope, Mode])
def test_every_measure_scope_and_mode_has_a_row(kind: type[Measure | Scope | Mode]) -> None:
    assert {member.value for member in kind} <= ROWS


def test_every_variable_has_a_row() -> None:
    assert {f"{{{variable}}}" for variable in VARIABLES} <= ROWS


def test_no_row_documents_a_key_that_does_not_exist() -> None:
    known = {key.name for key in keys(PackFile)}
    assert {row for row in ROWS if row.startswith(("quotas", "metadata", "defaults"))} <= known


def test_the_default_message_is_quoted_as_it_is() -> None:
    assert f"`{DEFAULT_MESSAGE}`" in PAGE


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
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
