"""Habits of style are read from texts as they were asked for, and tell whose they are."""

from __future__ import annotations

import random
from time import process_time

import pytest

from proxy.marks.chance import tail
from proxy.marks.habits import read
from proxy.marks.keys import CampaignKey
from proxy.marks.reading import agreement
from proxy.marks.style import HABITS, instruction, row
from proxy.marks.suspects import Suspect, Trace, gathered, judged, suspected
from tests.marks.styles import SHOWN, obeying
from tests.marks.texts import MASTER, PROSE, marked

KEYS = {f"c-{number}": CampaignKey(MASTER, f"c-{number}") for number in range(100)}


def shown(text: str) -> dict[str, int]:
    return {place.row.removeprefix("style "): place.stands for place in read(text)}


def run(texts: list[str], rate: float = 0.01) -> Trace:
    suspects = [suspected(text, 10**6) for text in texts]
    lists = gathered(suspects)
    figures = {name: [agreement(places, key) for places in lists] for name, key in KEYS.items()}
    return judged(figures, suspects, rate)


@pytest.mark.parametrize("name", HABITS)
@pytest.mark.parametrize("way", [0, 1])
def test_each_habit_is_read_and_no_other(name: str, way: int) -> None:
    text = SHOWN[name][way]
    expected = {name: way} if "#### " not in text or name == "opening" else {"opening": 0, name: way}
    if text.startswith(("It", "---")) and name == "rule":
        expected["opening"] = 1
    assert shown(f"{text}\n") == expected == shown(text)


def test_a_key_asks_for_one_way_of_each_habit_and_the_texts_agree_with_it() -> None:
    for key in list(KEYS.values())[:20]:
        asked = instruction(key)
        texts = obeying(asked)
        habits = gathered([suspected(text, 1000) for text in texts])[-1]
        assert agreement(habits, key) == (len(HABITS), len(HABITS))
    asked_for = [
        sum(way in instruction(key) for key in KEYS.values()) for habit in HABITS.values() for way in habit.asked
    ]
    assert min(asked_for) > 25


def test_a_text_has_the_way_that_it_has_more_often_and_none_of_two_alike() -> None:
    assert shown("It has 60% water, 3% salt, 12 percent oil") == {"percent": 0}
    assert shown("It has 60% water, 12 percent oil") == {}
    both = [suspected(SHOWN["percent"][way], 1000) for way in (1, 0, 1)]
    assert [place.stands for place in gathered(both)[-1]] == [1]


@pytest.mark.parametrize(
    "text",
    [
        "```\n- flour\n* water\n# Salt and water\n```",
        "~~~ sh\n1) x\n~~~",
        "Say `it isn't 60% vs. 3–4` now",
        "```\n- never closed\n- at all",
        "well-known e-book; 2024-03-05 and 555-1234",
        "",
    ],
)
def test_code_and_what_is_neither_way_shows_nothing(text: str) -> None:
    assert shown(text) == {}


def test_students_who_keep_most_habits_are_known_by_style_alone() -> None:
    rng = random.Random(3)
    texts = []
    for name in HABITS:
        asked = KEYS["c-41"].coin(row(name), "", 2)
        texts += [SHOWN[name][asked if rng.random() < 0.8 else 1 - asked] for _ in range(9)]
    found = run(texts)
    assert found.style is not None
    assert (found.style.key, found.style.seen.places) == ("c-41", len(HABITS))
    assert found.style.chance <= 0.01
    assert found.found
    assert found.together is not None
    assert found.together.chance > 0.01, "words say nothing"
    assert found.tests == len(KEYS) * (len(texts) + 2)


def test_against_a_reference_a_student_who_keeps_few_habits_is_known_too() -> None:
    rng = random.Random(4)

    def written(part: float) -> list[str]:
        # One way of each is usual: eight of ten have the first.
        asked = {name: KEYS["c-41"].coin(row(name), "", 2) for name in HABITS}
        ways = [
            (name, asked[name] if rng.random() < part else int(rng.random() < 0.2))
            for name in HABITS
            for _ in range(60)
        ]
        return [SHOWN[name][way] for name, way in ways]

    student, reference = ([suspected(text, 1000) for text in written(part)] for part in (0.35, 0.0))
    for given, found in ((reference, "c-41"), ([], None)):
        lists = gathered(student, given)
        figures = {name: [agreement(places, key) for places in lists] for name, key in KEYS.items()}
        style = judged(figures, student, 0.01).style
        assert style is not None
        assert (style.key if style.chance <= 0.01 else None) == found


def test_a_reference_of_any_kind_makes_no_finding_where_nobody_taught() -> None:
    rng = random.Random(18)
    false = 0
    for _ in range(200):
        made = [read(SHOWN[name][int(rng.random() < lean)]) for name in HABITS for lean in [rng.random()] * 7]
        texts, others = ([Suspect(1, [], habits) for habits in part] for part in (made[::2], made[1::2]))
        style = gathered(texts, others)[-1]
        false += min(tail(*agreement(style, key)) for key in KEYS.values()) * len(KEYS) <= 0.1
    # 20 are expected at most; 35 or more would come by chance once in 2,000 times.
    assert false < 35


def test_too_few_habits_are_not_tested_and_cost_the_words_nothing() -> None:
    found = run([marked(PROSE, "c-3")])
    assert (found.style, found.tests) == (None, len(KEYS))
    assert 0 < found.habits < 14
    assert found.texts[0].key == "c-3"
    assert found.found


def test_style_that_nobody_asked_for_stays_under_the_rate() -> None:
    rng = random.Random(17)
    false = 0
    for _ in range(200):
        seen = [read(SHOWN[name][rng.randrange(2)])[0] for name in HABITS]
        figures = {name: [agreement([], key), agreement(seen, key)] for name, key in KEYS.items()}
        false += judged(figures, [Suspect(1, [], seen)], rate=0.1).found
    # 20 are expected at most; 35 or more would come by chance once in 2,000 times.
    assert false < 35


def test_how_many_tokens_there_were_and_a_finding_takes_is_told() -> None:
    found = run([PROSE])
    places = found.texts[0].seen.places
    assert found.tokens == -(-len(PROSE.encode()) // 3)
    assert found.tokens_needed == round(found.needed * found.tokens / places)
    assert found.tokens_needed < found.tokens_needed_damaged
    none = run(["xyz"])
    assert (none.tokens, none.tokens_needed, none.found) == (1, 0, False)


@pytest.mark.parametrize("piece", ["# a ", "- ", "**a", "_a", "'a", "```\n", "\n", "a. ", "## A and ", "a:\n", " "])
@pytest.mark.parametrize("head", ["", "# ", "- ", "1.", "**", "a"])
def test_no_text_takes_long(head: str, piece: str) -> None:
    began = process_time()
    read(head + piece * 100_000)
    assert process_time() - began < 4
