"""The page of a campaign: whole, self-contained, bounded, and safe to open whoever chose the names in it."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest

from proxy.campaign_page.page import ROWS_MOST, page
from tests.campaign_page.shown import BEGAN, facts, member

VOID = {"meta"}
URLS = {"href", "src", "srcset", "xlink:href", "action", "data", "poster", "background", "style"}
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "</style><script>alert(1)</script>",
    "</title></svg><iframe src=//evil.example>",
    "<!-- ",
    "]]>",
    "&lt;b&gt;",
    "\N{RIGHT-TO-LEFT OVERRIDE}nimda",
    "\0\x1b[31m\n",
    "javascript:alert(1)",
    "{{7*7}}",
)


class Reader(HTMLParser):
    """Reads a page and holds it to what is valid: every element is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.cells: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "td":
            self.cells.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)
        if "td" in self.open:
            self.cells[-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.mark.parametrize(
    ("confidence", "said"),
    [(0.99, "almost certainly"), (0.98, "very probably"), (0.89, "probably"), (0.5, "probably"), (0.49, "possibly")],
)
def test_what_is_less_likely_than_not_is_not_called_probable(confidence: float, said: str) -> None:
    read = Reader(page(facts()._replace(confidence=confidence), BEGAN))
    assert f"customers are {said} one operation" in read.text


def test_it_says_in_two_sentences_what_was_found_and_gives_every_figure() -> None:
    read = Reader(page(facts(), BEGAN + 7200))
    assert (
        "24 accounts in the names of 24 customers are almost certainly one operation that copies the model" in read.text
    )
    assert "they sent 1,441 requests and got 1,399 answers, some 43,200 words" in read.text
    assert "what gives them away above all: a shared pool of payment values." in read.text
    for figure in (
        "above 99.9 %",
        "1,441",
        "1,399",
        "57,602",
        "31,004",
        "1,203",
        "reasoning written out",
        "2025-10-09 08:53",
    ):
        assert figure in read.text, figure
    for cell in (
        "+6.0",
        "-1.5",
        "24 of 24 tenants have a payment in common.",
        "c-29170fe41a-t",
        "37",
        "13",
        "acct-7",
        "org-7",
    ):
        assert any(cell in found for found in read.cells), cell
    for command in ("dismiss c-29170fe41a --why", "confirm c-29170fe41a --why", "export c-29170fe41a --to"):
        assert f"stillgate campaigns {command}" in read.text
    assert read.tags.count("svg") == 2 + 2 + 1  # charts, bars, graph
    assert "08:00 to 08:59: 1441 exchanges" in read.text


def test_of_a_campaign_that_was_dismissed_nothing_is_left_to_do() -> None:
    read = Reader(page(facts(state="dismissed"), BEGAN))
    assert "Nothing: its flags were lifted" in read.text
    assert "stillgate campaigns" not in read.text


@pytest.mark.parametrize(("tokens", "words"), [(0, "0"), (60, "45"), (100, "100"), (57_602, "43,200")])
def test_few_words_are_not_said_to_be_none(tokens: int, words: str) -> None:
    exposure = {"exchanges": 60, "delivered": 60, "input_tokens": 5, "output_tokens": tokens, "prompts": 60}
    assert f"got 60 answers, some {words} words" in Reader(page(facts(exposure=exposure), BEGAN)).text


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_words_wherever_it_stands(name: str) -> None:
    decision = {"said": "confirmed", "by": name, "at": BEGAN, "why": name}
    members = [
        member(number, account=f"{name}{number}", tenant=name, ties=[name], links=[[name, name], ["peer", name]])
        for number in range(12)
    ]
    evidence = [{"family": name, "weight": 3.0, "sentence": name, "numbers": {}}]
    templates = [{"id": name, "prints": 3, "least": 2}]
    made = page(
        facts(
            12,
            id=name,
            rule=name,
            sought=name,
            members=members,
            decisions=[decision],
            evidence=evidence,
            templates=templates,
        ),
        BEGAN,
    )
    read = Reader(made)
    plain = Reader(page(facts(12, members=[member(n, links=[["a", "b"], ["peer", "c"]]) for n in range(12)]), BEGAN))
    assert set(read.tags) <= set(plain.tags)
    assert not [key for key, _ in read.attributes if key.startswith("on")]
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in made
    assert "\0" not in made
    assert "\x1b" not in made
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    assert any(shown in cell for cell in read.cells)


def test_it_needs_nothing_from_elsewhere_and_forbids_it() -> None:
    made = page(facts(), BEGAN)
    read = Reader(made)
    assert not {"script", "link", "img", "iframe", "object", "embed", "image", "use", "foreignobject"} & set(read.tags)
    assert not URLS & {key for key, _ in read.attributes}
    assert not re.search(r"https?:|//|url\(|@import|@font-face", made.replace("<!DOCTYPE html>", ""))
    policy = next(value for key, value in read.attributes if key == "content" and value and "default-src" in value)
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_it_has_a_dark_and_a_printed_form() -> None:
    made = page(facts(), BEGAN)
    assert "prefers-color-scheme: dark" in made
    assert "@media print" in made


def test_twenty_five_thousand_members_make_a_page_of_bounded_size_in_bounded_time() -> None:
    members = [
        member(
            number,
            account=f"account-{number}-" + "x" * 100,
            ties=["y" * 1000],
            links=[["payment", f"{number % 6000:016x}"], ["peer", f"{number % 7001:016x}"], ["client", "z" * 16]],
        )
        for number in range(25_000)
    ]
    large = facts(25_000, members=members)
    began = time.monotonic()
    made = page(large, BEGAN)
    assert time.monotonic() - began < 15  # one second on an idle machine
    assert len(made) < 400_000
    read = Reader(made)
    assert "A dot stands for 63 accounts, since there are more than 400" in read.text
    assert f"These are the {ROWS_MOST} surest; 24,800 more" in read.text
    assert re.search(r"5,960 smaller groups, [0-9,]+ accounts, are drawn as one disc", read.text)
    assert read.tags.count("circle") < 600


@pytest.mark.parametrize("members", [0, 1, 2, 401])
def test_any_number_of_members_makes_a_page(members: int) -> None:
    Reader(page(facts(members), BEGAN))


def test_what_shares_nothing_and_has_no_text_says_so() -> None:
    bare = facts(12, members=[member(number, links=[]) for number in range(12)], templates=[], evidence=[])
    read = Reader(page(bare, BEGAN))
    assert "12 accounts share nothing that tells groups apart." in read.text
    assert "their prompts have no text in common" in read.text


def test_what_a_reviewer_decided_stands_on_top() -> None:
    said = {"said": "dismissed", "by": "rita", "at": BEGAN, "why": "a public prompt"}
    read = Reader(page(facts(state="dismissed", decisions=[said]), BEGAN))
    assert "a reviewer has decided that they are not" in read.text
    assert "dismissed by rita on 2025-10-09 08:53 UTC: a public prompt" in read.text
