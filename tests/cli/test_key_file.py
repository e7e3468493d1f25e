"""The file of `keys import`: what is wrong is named with its line before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.cli.key_file import Line, read_lines
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
        ("{", "is no JSON from column 2 on; each line must be an object such as "),
        ('{"account": "a-1",}', "is no JSON from column 18 on; each line must be"),
        ("nonsense", "is no JSON from column 1 on; each line must be"),
        ("[]", "is no object; each line must be an object such as "),
        ("{}", "account: must be "),
        ('{"acount": "a-1"}', "unknown field 'acount'"),
        ('{"account": "a-1", "plan": "pro", "plan": "free"}', "the field 'plan' stands there twice"),
        ('{"account": "a-1", "attributes": {"card": "1", "c\\u0061rd": "2"}}', "the field 'card' stands there twice"),
        ('{"account": "a 1"}', "account: must be "),
        ('{"account": "a-1", "secret": "short"}', "secret: must be "),
        ('{"account": "a-1", "secret": "sgk_0123456789012345678901234567890"}', "secret: must be "),
        ('{"account": "a-1", "created_at": "2026-01-31"}', "created_at: must be "),
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
