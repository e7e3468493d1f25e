"""Marks are found again, by their own key, and not where there are none."""

from __future__ import annotations

import json
import random
from math import comb

import pytest

from proxy.marks.chance import corrected, needed, tail
from proxy.marks.keys import CampaignKey
from proxy.marks.reading import Seen, agreement, read
from proxy.marks.suspects import Suspect, gathered, judged, read_places, suspected
from tests.marks.texts import MASTER, PROSE, babble, key, marked, replaced

KEYS = {f"c-{number}": CampaignKey(MASTER, f"c-{number}") for number in range(30)}


def test_the_tail_is_that_of_a_fair_coin() -> None:
    for agree, places in ((0, 5), (3, 3), (7, 10), (60, 100), (5, 4)):
        exact = sum(comb(places, k) for k in range(agree, places + 1)) / 2**places
        assert tail(agree, places) == pytest.approx(exact, rel=1e-9)
    assert tail(6000, 10_000) == pytest.approx(0, abs=1e-80)
    assert corrected(0.02, 100) == 1.0


def test_how_many_places_it_takes_is_said_before_anybody_looks() -> None:
    assert needed(100, 0.01) == 14
    assert tail(14, 14) * 100 <= 0.01 < tail(13, 13) * 100
    assert needed(100, 0.01, agreeing=0.85) > 30


def test_a_marked_text_agrees_with_its_own_key_at_nearly_every_place() -> None:
    for name in KEYS:
        seen = agreement(read(marked(PROSE, name)), key(name))
        assert seen.places >= 30
        assert seen.agree >= seen.places - 1
    assert abs(sum(agreement(read(PROSE), one).agree for one in KEYS.values()) / len(KEYS) / seen.places - 0.5) < 0.15


def run(texts: list[str], rate: float = 0.01) -> dict[str, object]:
    suspects = [suspected(text, 10**6) for text in texts]
    lists = gathered(suspects)
    result = judged({name: [agreement(places, one) for places in lists] for name, one in KEYS.items()}, suspects, rate)
    together = result.together
    return {
        "together": together.key if together and together.chance <= rate else None,
        "texts": [match.key if match.chance <= rate else None for match in result.texts],
        "found": result.found,
        "tests": result.tests,
    }


def test_a_text_is_attributed_to_the_campaign_it_was_marked_for() -> None:
    found = run([marked(PROSE, f"c-{number}") for number in range(8)])
    assert found["texts"] == [f"c-{number}" for number in range(8)]
    assert found["tests"] == 30 * 9


def test_it_is_found_after_a_tenth_of_the_words_were_replaced_or_a_third_of_the_sentences_dropped() -> None:
    rng = random.Random(5)
    right = 0
    for number in range(30):
        text = marked(PROSE, f"c-{number}")
        kept = ". ".join(sentence for sentence in text.split(". ") if rng.random() > 1 / 3)
        right += run([replaced(text, rng, 0.1)])["texts"] == [f"c-{number}"]
        right += run([kept])["texts"] == [f"c-{number}"]
    assert right >= 50


def test_short_texts_that_say_nothing_alone_are_found_together() -> None:
    parts = [part for part in marked(PROSE, "c-4").split(". ") if part]
    found = run(parts)
    assert found["texts"] == [None] * len(parts)
    assert found["together"] == "c-4"


def test_what_nobody_marked_stays_under_the_rate() -> None:
    rng = random.Random(11)
    false = sum(bool(run([babble(rng, 300)], rate=0.1)["found"]) for _ in range(200))
    # 20 are expected at most; 35 or more would come by chance once in 2,000 times.
    assert false < 35


def test_odd_habits_and_repetition_are_no_evidence() -> None:
    habit = "For example, it is so. "
    assert len(read(habit * 500)) <= 4
    always = " ".join(f"For example, the {word} does not do it." for word in PROSE.split() if word.isalpha())
    chances = [tail(*agreement(read(always, 10**6), one)) for one in KEYS.values()]
    assert min(chances) > 1e-4


def test_a_context_counts_once_however_many_texts_have_it() -> None:
    text = suspected(PROSE, len(PROSE))
    assert text.places == read(PROSE)
    assert gathered([text]) == [text.places, text.habits]
    assert gathered([text] * 3) == [*[text.places] * 4, text.habits]
    assert run([PROSE] * 50)["together"] is None


def test_of_texts_that_contradict_each_other_the_most_count() -> None:
    assert run([PROSE, marked(PROSE, "c-1"), marked(PROSE, "c-1")])["together"] == "c-1"


def test_places_come_back_from_json_as_they_went() -> None:
    places = read(PROSE)
    assert read_places(json.loads(json.dumps(places))) == places
    assert Seen(1, 2) + Seen(3, 4) == Seen(4, 6)


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        ["x"],
        [["row", "word", 0]],
        [["row", "word", 0, 3]],
        [["row", "word", 2, 2]],
        [["row", "word", True, 2]],
        [["row", 1, 0, 2]],
    ],
)
def test_what_is_no_place_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="should"):
        read_places(document)


def test_nothing_is_found_without_places_or_keys() -> None:
    assert judged({}, [Suspect(1, [], [])], 0.01).found is False
    assert judged({"c": [Seen(0, 0)] * 2}, [Suspect(1, [], [])], 0.01).found is False
