"""The file of `keys import`: what is wrong is named with its line before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.key_file import Line, read_lines
from proxy.cli.moments import now
from proxy.errors import ConfigurationError

GOOD = '{"account": "a-1"}'
SECRET = '{"account": "a-1", "secret": "taken-over-0123456789abc"}'


def test_lines_keep_their_numbers_over_empty_ones_and_windows_line_ends(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_bytes(b'{"account": "a-1"}\r\n\r\n  \n{"account": "a-2", "plan": "pro"}')
    assert read_lines(file) == [Line(1, {"account": "a-1"}), Line(4, {"account": "a-2", "plan": "pro"})]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "is not JSON from column 2 on; each line must be an object such as "),
        ('{"account": "a-1",}', "is not JSON from column 18 on; each line must be"),
        ("nonsense", "is not JSON from column 1 on; each line must be"),
        ("[]", "is not an object; each line must be an object such as "),
        ("{}", "account: must be "),
        ('{"acount": "a-1"}', "unknown field 'acount'; known are account, tenant, plan, created_at, expires, "),
        ('{"account": "a-1", "plan": "pro", "plan": "free"}', "the field 'plan' is given twice"),
        ('{"account": "a-1", "attributes": {"card": "1", "c\\u0061rd": "2"}}', "the field 'card' is given twice"),
        ('{"account": "a 1"}', "account: must be "),
        ('{"account": "a-1", "secret": "short"}', "secret: must be "),
        ('{"account": "a-1", "secret": "sgk_0123456789012345678901234567890"}', "secret: must be "),
        ('{"account": "a-1", "created_at": [1]}', "created_at: must be "),
        ('{"account": "a-1", "attributes": {"payment": 7}}', "attributes: "),
        (SECRET, "secret: is the same as on line 2"),
    ],
)
def test_a_wrong_line_is_named_with_file_and_number_and_without_its_secret(
    tmp_path: Path, line: str, complaint: str
) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(f"{GOOD}\n{SECRET}\n{line}\n{GOOD}")
    with pytest.raises(ConfigurationError) as error:
        read_lines(file)
    assert str(error.value).startswith(f"{file}:3: {complaint}")
    assert "0123456789" not in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing\.jsonl: No such file"):
        read_lines(tmp_path / "missing.jsonl")
    with pytest.raises(ConfigurationError, match="Is a directory"):
        read_lines(tmp_path)


def test_every_wrong_line_is_named_up_to_twenty(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text('{"account": "a"}\n{"acount": "b"}\n\nno JSON\n{"account": "c"}\n{"account": "d", "plan": 3}\n')
    with pytest.raises(ConfigurationError) as caught:
        read_lines(file)
    places = [line.split(": ")[0] for line in str(caught.value).splitlines()]
    assert places == [f"{file}:{number}" for number in (2, 4, 6)]
    file.write_text('{"acount": "b"}\n' * 1_025)
    with pytest.raises(ConfigurationError) as caught:
        read_lines(file)
    told = str(caught.value).splitlines()
    assert (len(told), told[-1]) == (21, "and 1,005 more lines are wrong")


def test_moments_are_written_as_for_keys_create(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    rows = ('{"account": "a", "created_at": "2024-03-01", "expires": "90d"}', '{"account": "b", "created_at": "90d"}')
    file.write_text("\n".join(rows))
    first, second = (line.row for line in read_lines(file))
    assert first["created_at"] == 1_709_251_200
    assert abs(first["expires_at"] - now() - 90 * 86_400) < 60
    assert "expires" not in first
    assert abs(now() - second["created_at"] - 90 * 86_400) < 60


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ('"created_at": "lately"', "created_at: 'lately': must be a date such as 2026-01-31, or a period such as 90d"),
        ('"expires": "2020-01-01"', "expires: '2020-01-01': is past"),
        ('"expires": 1', "expires: must be a date such as 2026-01-31, or a period such as 90d"),
        ('"expires": "90d", "expires_at": 1', "expires: cannot stand beside expires_at"),
    ],
)
def test_moments_that_are_none_are_named(tmp_path: Path, members: str, why: str) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(f'{{"account": "a", {members}}}\n')
    with pytest.raises(ConfigurationError) as caught:
        read_lines(file)
    assert f"{file}:1: {why}" in str(caught.value)
