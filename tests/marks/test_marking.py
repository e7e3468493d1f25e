"""Marks in prose: what is changed and what is not, however the text is cut."""

from __future__ import annotations

import re
import textwrap
from itertools import pairwise
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.marks.marking import MOST_CHARS, Marking
from proxy.marks.scanner import AHEAD
from tests.marks.texts import MASTER, PROSE, babble, key, marked

SHAPES = st.sampled_from(
    [
        *PROSE.split(),
        *[
            "\n",
            "\n\n",
            " ",
            "  ",
            "\t",
            "    ",
            "```",
            "```py\n",
            "~~~",
            "`",
            "``",
            "$",
            "$$",
            "\\[",
            "\\]",
            '"',
            "“",
            "”",
        ],
        *[
            "'",
            "‘",
            "’",
            "**",
            "*",
            "# ",
            "> ",
            "| ",
            "{",
            "[",
            "(",
            ")",
            "...",
            ";",
            "—",
            "a" * 120,
            " " * 120,
            "é",
            "日本",
        ],
        *[
            "I'm sorry",
            "overdose",
            "however, ",
            "for example",
            "it is",
            "an hour",
            "a useful",
            "don’t",
            "https://x.y/it's",
        ],
    ]
)
TEXTS = st.lists(SHAPES, max_size=60).map(" ".join) | st.lists(SHAPES, max_size=60).map("".join)


@given(TEXTS, st.lists(st.integers(0, 4000), max_size=12), st.integers(0, 400))
def test_however_a_text_is_cut_the_same_comes_out(text: str, cuts: list[int], most: int) -> None:
    whole = Marking(key("c-1"), most)
    expected = whole.feed(text) + whole.end()
    pieces = Marking(key("c-1"), most)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    out = "".join(pieces.feed(text[start:end]) for start, end in pairwise(places)) + pieces.end()
    assert out == expected


@given(TEXTS)
def test_letter_by_letter_it_is_the_same_and_little_is_held_back(text: str) -> None:
    marking, out = Marking(key("c-1")), ""
    for at, letter in enumerate(text):
        out += marking.feed(letter)
        assert at - len(out) < 200 * (AHEAD + 2)
    assert out + marking.end() == marked(text, "c-1")


STOPS = st.sampled_from([";", ",", ".", " t", "e, ", "'", "an ", "s ", "that", "then", "it's", "It is", "n't", "for "])


@given(
    TEXTS | st.randoms().map(lambda rng: babble(rng, 80)), st.lists(STOPS, min_size=1, max_size=4), st.integers(0, 9)
)
def test_a_mark_brings_no_stop_sequence_about(text: str, stops: list[str], campaign: int) -> None:
    made = marked(text, f"c-{campaign}", stops=stops)
    assert made == marked(text, f"c-{campaign}", pieces=7, stops=stops)
    for stop in stops:
        assert made.count(stop) <= text.count(stop)


@pytest.mark.parametrize("size", [40, 80, 160, 256])
@pytest.mark.parametrize("number", range(6))
def test_nor_a_long_one_whose_end_is_yet_to_come(size: int, number: int) -> None:
    made = marked(PROSE, f"c-{number}")
    stops = [made[at : at + size] for at in range(0, len(made) - size, 7)]
    new = [stop for stop in stops if stop not in PROSE]
    assert new
    for stop in new:
        assert stop not in marked(PROSE, f"c-{number}", stops=[stop])


def test_stop_sequences_keep_no_other_mark_away() -> None:
    instead = {marked(PROSE, f"c-{number}") for number in range(20)}
    assert any("it's known" in text for text in instead)
    for number in range(20):
        kept = marked(PROSE, f"c-{number}", stops=["it's known", "never to be read", ""])
        assert kept in (marked(PROSE, f"c-{number}"), marked(PROSE, f"c-{number}").replace("it's known", "it is known"))


def test_each_key_has_wordings_of_its_own_and_always_the_same() -> None:
    texts = {marked(PROSE, f"c-{number}") for number in range(20)}
    assert len(texts) == 20
    assert marked(PROSE, "c-7") == marked(PROSE, "c-7", pieces=90)
    assert PROSE not in texts


def test_a_marked_text_is_not_changed_by_marking_it_again() -> None:
    for number in range(40):
        once = marked(PROSE, f"c-{number}")
        assert marked(once, f"c-{number}") == once


def test_no_wording_is_preferred_everywhere() -> None:
    words = sorted({word for word in PROSE.lower().split() if word.isalpha() and len(word) > 3})
    for one, other in (("for example", "for instance"), ("does not", "doesn't"), ("often", "frequently")):
        text = " ".join(f"The {word} {one} is the thing of this." for word in words)
        made = marked(text[:MOST_CHARS], "c-3")
        share = made.count(one) / (made.count(one) + made.count(other))
        assert 0.35 < share < 0.65, one


@pytest.mark.parametrize(
    "text",
    [
        "The code:\n\n```python\n# it is used because it does not fail, for example here\nfoo()\n```\n",
        "// it is often used because it does not fail\nfoo();\n/* it is often used because it does not fail */\n",
        "select name, email from users where email is not null and deleted_at is null and it is often;",
        "Here:\n\n-- it is often so\nselect a\nfrom b\nwhere a is not null\n  and it is not c and b is not null;\n",
        "with a as (select b from c where b is not null)\nselect * from a where it is not null and b is not null;",
        "SELECT name FROM users WHERE email is not null and phone is not null and address is not null;",
        "for item in items:\n  if item is not last and it is not first:\n    print(item)\n\n  if it is not so: return\n",
        "if it is not running then launch it\nif the name of it is not equal to that then do not go on",
        "result = [it for it in items if it is not last and it is not first]",
        "user = find()\nif user is not None and user is not admin:\n  log(user)\n\n  if user is not owner: return\n",
        "MAX = 5\nwhile value is not None and other is not value:\n  go()",
        "self.value: int = 5\nraise_it() if value is not wanted else go()",
        "login(user)\nassert user is not admin and user is not None",
        "Here:\nif value is not None and other is not value:\n  go()",
        "Feature: it is often used\n\n  Scenario: one who does not log in\n    Given it is not so\n    Then it is often used\n",
        "Scenario: one\n  Given it is often used\n  And it does not fail\n\n  Then it is often so\n",
        "Given a user\nAnd it is not the one who does not log in\nThen it is often used, because it does not fail",
        "MOVE ZERO TO total.\nPERFORM it is often used UNTIL done.\nIF it is not zero THEN it is often used",
        "Take this\nSELECT a FROM b WHERE it is not null and it is often",
        "The rows:\nfind the rows\n  whose value is not null, and it is often so, as it does not fail\n  and it is often",
        "Procedure Main()\n  If it is not ready Then it is often used\n  Loop while it does not fail",
        "~~~\nit is often used because it does not fail\n~~~\n",
        "The call `it is often used because it does not fail` ends.",
        "The call ``it is often `used` because it does not fail`` ends.",
        "The call <code>it is often used because it does not fail</code> ends.",
        "The code:\n\n    it is often used because it does not fail\n\tit is\n",
        '{"text": "it is often used because it does not fail"}',
        '[{"it is": "because it does not fail"}]\n\nit is often',
        "<answer>\nit is often used because it does not fail, and you are\n</answer>",
        "She said: “it is often used because it does not fail, for example here.”",
        'She said "it is often used because it does not fail, for example here" to him.',
        "She said 'it is often used because it does not fail' to him.",
        "She said \"the dogs' food, 'and it is often' used because it does not fail\" to him.",
        'She sang "often used\nbecause it does not fail\nand it is often" to him.',
        'The part <b title="it is often used because it does not fail">\nof it.',
        'She said—"it is often used because it does not fail"—to him.',
        "She said „it is often used because it does not fail“ to him.",
        'Here:\n\n{\n  "text": "Say \\"yes\\" because it does not fail, and it is often",\n  "b": 1\n}\n',
        "> it is often used because it does not fail\n",
        "# Why it is often used, and usually does not fail\n",
        "| it is often used | because it does not fail |\n|---|---|\n| for example | usually |\n",
        "it is | often\n---|---\nusually | because\n",
        "$it is often used because it does not fail$",
        "$$\nit is often used because it does not fail\n$$\n",
        "\\[ it is often used because it does not fail \\]",
        "The **it is often used because it does not fail** part.",
        "Carver, R. *What we talk about when it is often used*, and _It does not fail_.",
        "The *Winn-Dixie is often used because it does not fail* part.",
        "https://example.com/it_is/often?because=it&for=example",
        "1,000 2.5 10% 3x 2024-01-01",
        "I'm sorry, but I can't help with that because it is often used to harm people, for example here.",
        "I cannot help with this. It is often used because it does not fail.",
        "This is about an overdose. It is crucial that you do not wait, and it is often used because it does not fail.",
        "Warning: it is often used because it does not fail, for example here.",
        "Es ist fast immer so, weil es often ist. Das ist usually nicht because of it.",
        "Il est often vrai que usually ce because it n'est pas.",
        "The Big Often And Usually Because For Example",
        "IT IS OFTEN USED BECAUSE IT DOES NOT FAIL",
    ],
)
def test_what_is_no_plain_prose_is_never_touched(text: str) -> None:
    for number in range(25):
        assert marked(text, f"c-{number}") == text


@pytest.mark.parametrize(
    ("text", "either"),
    [
        ("It is an important thing that the people know.", {"It is", "It's"}),
        (
            "The people often do it that way and it is an essential part.",
            {"a crucial", "a vital", "a critical", "an essential"},
        ),
        ("For example, the thing is this.", {"For example,", "For instance,"}),
        ("“Well,” said the one that doesn’t know.", {"doesn’t", "does not"}),
        ("The tools are red, green, blue, and white.", {"blue, and", "blue and"}),
        ("I think that he is right about the thing.", {"think that he", "think he"}),
        ("However, the thing is the same.", {"However, the", "But the"}),
        (
            "The thing is the same as it was. It is still the one.",
            {"was. It is", "was; it is", "was. It's", "was; it's"},
        ),
    ],
)
def test_what_is_chosen_is_written_as_it_should_be(text: str, either: set[str]) -> None:
    found = {next((words for words in either if words in marked(text, f"c-{number}")), None) for number in range(60)}
    assert found == either


def test_prose_around_code_is_marked_and_words_of_it_are_no_code() -> None:
    code = "select a from b where a is not null and b is not null;"
    around = (
        "This is the query that is often used, and it is the one to use:\n\n{}\n\nIt is often used because it is good."
    )
    texts = {marked(around.format(code), f"c-{number}") for number in range(20)}
    assert len(texts) > 10
    assert all(code in text for text in texts)
    for text in (
        "With this it is often so, and it is good.",
        "To select it is often so.\nfor it is good",
        "- use this because it is good, and it is often the one",
        "It's so that x = 5 here.\nIt is often so, and it is good.",
        "- x = 5\n- It is often so, and it is good.",
        "Here:\nIt is often so, and it is good, if you like it.",
        "# A title\nIt is often so, and it is good.",
        "A title\n=======\nIt is often so, and it is good.",
        "A word:\n  It is often so, and it is good.",
        "**A title**\nIt is often so, and it is good.",
        "1. A title\n   It is often so, and it is good.",
        "- A title\n\n  It is often so, and it is good.",
        "This is the text of a letter from somebody\nit is often so, and it is good.",
        "Dear all,\nit is often so, and it is good.",
        "A word\n\nIt is often so, and it is good.",
    ):
        assert any(marked(text, f"c-{number}") != text for number in range(20))


def test_articles_capitals_and_spaces_stay_right() -> None:
    for number in range(60):
        text = marked(PROSE, f"c-{number}")
        assert not re.search(r"\ba (?=[aeio])|\ban (?=[bcdfgjklmnpqrstvwxyz])", text.replace("a one", ""))
        assert not re.search(r"[.!?] [a-z]", text)
        assert not re.search(r"; [A-Z]", text)
        assert text.count("\n\n") == PROSE.count("\n\n")
        assert "  " not in text
        assert " ," not in text


def test_of_a_long_answer_the_beginning_is_marked_and_the_rest_comes_as_it_is() -> None:
    long = PROSE * 40
    made = marked(long, "c-1", pieces=70)
    assert made == marked(long, "c-1")
    assert made.endswith(PROSE * 20)
    assert MASTER  # the same secret on every replica


@pytest.mark.parametrize("held", ["x" * 96, " " * 96])
def test_what_is_held_back_is_not_searched_from_each_of_its_characters(held: str) -> None:
    assert took(held) < 8 * took("x")


def took(held: str) -> float:
    """Return how long texts take that bring nothing while this is held back: the least of several times."""
    marking = Marking(key("c-1"))
    assert marking.feed(held) == ""
    times: list[float] = []
    for _ in range(10):
        began = process_time()
        for _ in range(2_000):
            marking.feed("")
        times.append(process_time() - began)
    return min(times)


@pytest.mark.parametrize("columns", [40, 44, 48, 60, 72])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_prose_that_is_wrapped_is_marked_as_if_it_were_not(columns: int, end: str) -> None:
    """A caller can ask for lines as short as that."""
    text = "It is often used because it does not fail, for example in a large house where nobody is. " * 6
    paragraph = text.strip()
    wrapped = end.join(textwrap.wrap(paragraph, columns, break_on_hyphens=False))
    assert marked(wrapped, "c-3").split() == marked(paragraph, "c-3").split()
