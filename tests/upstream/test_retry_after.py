"""U-05: whatever stands in an upstream's Retry-After, it is a bounded number of seconds or nothing."""

from __future__ import annotations

from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.clock import VirtualClock
from proxy.upstream.retry_after import MOST_S, wait_asked

NOW = VirtualClock().wall()


@pytest.mark.parametrize(
    ("text", "milliseconds", "seconds"),
    [
        ("7", "", 7),
        (" 7 ", "", 7),
        ("0.5", "", 0.5),
        ("0", "", 0),
        ("60", "", MOST_S),
        ("61", "", MOST_S),
        ("9" * 60, "", MOST_S),
        ("", "250", 0.25),
        ("7", "1500", 1.5),
        ("7", "soon", 7),
        ("", "9" * 60, MOST_S),
        (formatdate(NOW + 30, usegmt=True), "", 30),
        ("Tuesday, 14-Nov-23 22:13:50 GMT", "", 30),
        ("Tue Nov 14 22:13:50 2023", "", 30),
        ("Tue, 14 Nov 2023 23:13:50 +0100", "", 30),
        (formatdate(NOW + 86_400, usegmt=True), "", MOST_S),
        (formatdate(NOW - 86_400, usegmt=True), "", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "", MOST_S),
        ("Mon, 01 Jan 0001 00:00:00 +1400", "", 0),
        ("", "", None),
        ("-7", "-7", None),
        ("+7", "", None),
        ("7s", "", None),
        ("1e9", "inf", None),
        ("nan", "nan", None),
        ("7, 8", "", None),
        ("\u0667", "\u0667", None),
        ("9" * 100, "", None),
        ("Fri, 99 Dec 2023 99:99:99 GMT", "", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", "", None),
        ("0x10", "", None),
    ],
)
def test_what_is_asked_for_is_bounded_and_what_makes_no_sense_is_nothing(
    text: str, milliseconds: str, seconds: float | None
) -> None:
    assert wait_asked(text, milliseconds, NOW) == seconds


@given(st.text(max_size=80) | st.datetimes().map(format_datetime), st.text(max_size=80))
def test_no_text_at_all_is_more_than_that(text: str, milliseconds: str) -> None:
    wait = wait_asked(text, milliseconds, NOW)
    assert wait is None or 0 <= wait <= MOST_S
