from __future__ import annotations

import itertools
import random
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.exchange import Text
from proxy.fingerprint.grams import GRAM, ROW_LETTERS, RUN_SURE, Hashes
from proxy.fingerprint.lengths import LETTERS_LEAST, LETTERS_MOST, LETTERS_USUAL
from proxy.fingerprint.winnow import SAMPLE_MOST, Fingerprinter
from tests.fingerprint.prompts import KEY, OTHER_KEY, TEMPLATE, TEMPLATES, jittered, strewn, user, words

MAKER = Fingerprinter(KEY)
LETTERS = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzабвгде你好世界"), max_size=300)
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f"
BIDI = "\u200e\u200f\u202a\u202c\u202e\u2066\u2069"
VARIATION = "\ufe00\ufe0f\U000e0100\U000e01ef"
TAGS = "\U000e0020\U000e0061\U000e007f"
MARKS = "\u0300\u0301\u0308\u0336\u0345\u0489\u20dd\u0941\u094d\u3099"
HOMOGLYPHS = str.maketrans("aceopxyijsABCEHKMOPTX", "асеорхуіјѕАВСЕНКМОРТХ")


def shared(one: Hashes, other: Hashes) -> int:
    """Return how many prints two samples have in common."""
    return len(np.intersect1d(one, other))


def kept(text: str, of: str = TEMPLATE) -> float:
    """Return which share of a template's prints is in a prompt's sample."""
    prints = MAKER.of(user(of)).every
    return shared(prints, MAKER.of(user(text)).sample) / prints.size


@pytest.mark.parametrize("language", TEMPLATES)
def test_jitter_of_case_space_punctuation_and_numbers_changes_no_print(language: str) -> None:
    prints = MAKER.of(user(TEMPLATES[language]))
    for seed in range(20):
        found = MAKER.of(user(jittered(TEMPLATES[language], seed)))
        assert np.array_equal(found.sample, prints.sample)
        assert found[1:3] == prints[1:3]


@pytest.mark.parametrize("hidden", [INVISIBLE, BIDI, VARIATION, TAGS, MARKS])
def test_hidden_characters_change_no_print(hidden: str) -> None:
    assert kept(strewn(TEMPLATE, hidden)) == 1.0
    assert MAKER.of(user(strewn(TEMPLATE, hidden))).whole == MAKER.of(user(TEMPLATE)).whole


@pytest.mark.parametrize("language", TEMPLATES)
@pytest.mark.parametrize("hidden", [INVISIBLE, BIDI, VARIATION, TAGS])
def test_what_is_invisible_changes_no_print_in_any_script(language: str, hidden: str) -> None:
    assert kept(strewn(TEMPLATES[language], hidden), TEMPLATES[language]) == 1.0


def test_homoglyphs_change_no_print() -> None:
    assert kept(TEMPLATE.translate(HOMOGLYPHS)) == 1.0
    chance = random.Random(0)
    assert kept("".join(char.translate(HOMOGLYPHS) if chance.random() < 0.5 else char for char in TEMPLATE)) == 1.0
    assert kept("".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in TEMPLATE)) == 1.0


@pytest.mark.parametrize("language", TEMPLATES)
@pytest.mark.parametrize("shape", ["{t} {p}", "{p} {t}", "{p} {t} {q}", "{t}\n\n{p}\n\n{t}"])
def test_a_template_is_found_wherever_its_slots_are(language: str, shape: str) -> None:
    template = TEMPLATES[language]
    assert kept(shape.format(t=template, p=words(1, 60), q=words(2, 60)), template) >= 0.7


def test_a_template_with_slots_within_is_found() -> None:
    first, second, third = TEMPLATE[:120], TEMPLATE[120:230], TEMPLATE[230:]
    one = MAKER.of(user(f"{first} {words(1, 20)} {second} {words(2, 20)} {third}"))
    other = MAKER.of(user(f"{first} {words(3, 30)} {second} {words(4, 9)} {third}"))
    assert shared(one.sample, other.sample) >= 10


def test_honest_prompts_without_common_text_share_nothing() -> None:
    samples = [MAKER.of(user(text)).sample for text in (*TEMPLATES.values(), words(1, 300), words(2, 300))]
    assert not any(shared(one, other) for at, one in enumerate(samples) for other in samples[:at])


SPLITS = {
    "system and user": [Text("system", "system", TEMPLATE[:150]), Text("user", "messages[0].content", TEMPLATE[150:])],
    "messages": [
        Text("user", "messages[0].content", TEMPLATE[:101]),
        Text("assistant", "messages[1].content", TEMPLATE[101:203]),
        Text("user", "messages[2].content", TEMPLATE[203:]),
    ],
    "parts": [
        Text("user", f"messages[0].content[{at}].text", TEMPLATE[10 * at : 10 * at + 10])
        for at in range(len(TEMPLATE) // 10 + 1)
    ],
    "characters": [Text("user", f"messages[{at}].content", char) for at, char in enumerate(TEMPLATE)],
    "a tool's description": [
        Text("user", "messages[0].content", ""),
        Text("tools", "tools[0].function.description", TEMPLATE),
    ],
}


@pytest.mark.parametrize("name", SPLITS)
def test_a_split_template_has_the_prints_of_the_whole(name: str) -> None:
    found, whole = MAKER.of(SPLITS[name]), MAKER.of(user(TEMPLATE))
    assert np.array_equal(found.sample, whole.sample)
    assert found.whole == whole.whole


@given(st.text(), st.lists(st.integers(0, 100), max_size=5))
def test_splitting_anywhere_changes_no_print(text: str, places: list[int]) -> None:
    ends = [0, *sorted(places), len(text)]
    pieces = [Text("user", "", text[start:end]) for start, end in itertools.pairwise(ends)]
    found, whole = MAKER.of(pieces), MAKER.of(user("".join(piece.text for piece in pieces)))
    assert np.array_equal(found.sample, whole.sample)
    assert found[1:3] == whole[1:3]


@pytest.mark.parametrize(("share", "least"), [(0.5, 10), (0.9, 3), (0.95, 1)])
def test_a_padded_template_is_found(share: float, least: int) -> None:
    count = int(len(TEMPLATE) / (1 - share) * share / 6)
    padding = words(5, count)
    for text in (
        TEMPLATE + padding,
        padding + TEMPLATE,
        padding[: len(padding) // 2] + TEMPLATE + words(6, count // 2),
    ):
        assert shared(MAKER.of(user(TEMPLATE)).every, MAKER.of(user(text)).sample) >= least


@pytest.mark.parametrize("count", [300, 3_000, 6_000])
def test_of_all_prints_text_around_a_template_drives_none_out(count: int) -> None:
    """Whether a prompt matches a template is asked of these: a third of the template's is enough."""
    wanted = MAKER.of(user(TEMPLATE)).every
    for text in (TEMPLATE + words(7, count), words(7, count) + TEMPLATE, words(7, count) + TEMPLATE + words(8, count)):
        assert shared(wanted, MAKER.of(user(text)).every) >= 0.9 * wanted.size
    long = TEMPLATE + words(9, 300_000) + TEMPLATE
    assert shared(wanted, MAKER.of(user(long)).every) >= 0.9 * wanted.size
    assert MAKER.of(user(long)).every.size <= 8_192


def test_a_template_at_either_end_is_found_beside_any_amount_of_text() -> None:
    for text in (TEMPLATE + words(7, 50_000), words(7, 50_000) + TEMPLATE):
        assert shared(MAKER.of(user(TEMPLATE)).every, MAKER.of(user(text)).sample) >= 2


def test_long_documents_are_found_in_the_middle_of_longer_prompts() -> None:
    document = words(8, 40_000)
    one = MAKER.of(user(words(1, 20_000) + document + words(2, 20_000)))
    other = MAKER.of(user(words(3, 25_000) + document + words(4, 15_000)))
    assert shared(one.sample, other.sample) >= 10


LONG = words(15, 60_000)  # some 240,000 letters


def test_a_text_of_no_more_letters_than_are_winnowed_has_the_same_prints_whatever_their_number() -> None:
    for count in (10, 1_000, 3_600):  # the last are more than a row, and less than the least number
        prompt = user(words(16, count))
        least, most = MAKER.of(prompt, LETTERS_LEAST), MAKER.of(prompt, LETTERS_MOST)
        assert least.every.tolist() == most.every.tolist()
        assert least.sample.tolist() == most.sample.tolist()
    assert ROW_LETTERS < LETTERS_LEAST < LETTERS_USUAL < LETTERS_MOST


@pytest.mark.parametrize("max_letters", [LETTERS_LEAST, 33_333, LETTERS_USUAL, 100_001, LETTERS_MOST])
def test_a_longer_text_is_winnowed_at_both_ends_and_sampled_between(max_letters: int) -> None:
    found = MAKER.of(user(LONG), max_letters)
    letters = LONG.replace(" ", "")
    edge = min(max_letters // 2, 12_000)
    for end in (letters[:edge], letters[-edge:]):
        assert np.isin(MAKER.of(user(end)).every, found.every).all()
    middle = MAKER.of(user(letters[100_000:110_000])).every
    share = np.isin(middle, MAKER.of(user(letters[60_000:150_000]), max_letters).every).mean()
    assert share == 1 if max_letters > 90_000 else share < 0.5
    assert (found.question, found.whole) == MAKER.of(user(LONG))[1:3]


def test_a_template_is_found_in_a_long_text_under_any_number_whatever_the_one_it_was_known_under() -> None:
    template = MAKER.of(user(TEMPLATE)).every
    for text in (TEMPLATE + LONG, LONG + TEMPLATE):
        for max_letters in (LETTERS_LEAST, LETTERS_USUAL, LETTERS_MOST):
            assert shared(template, MAKER.of(user(text), max_letters).every) >= 0.9 * template.size
    within = LONG[:60_000] + TEMPLATE + LONG[60_000:]
    assert shared(template, MAKER.of(user(within), LETTERS_LEAST).every) < 0.3 * template.size


@settings(max_examples=300)
@given(LETTERS, LETTERS, LETTERS, LETTERS, st.text(st.sampled_from("abcdefghij你好"), min_size=RUN_SURE, max_size=90))
def test_a_run_that_is_long_enough_always_has_a_print_in_common(a: str, b: str, c: str, d: str, run: str) -> None:
    one, other = (MAKER.of(user(text)).every for text in (a + run + b, c + run + d))
    assert shared(one, other) >= 1


@pytest.mark.parametrize(("script", "letters"), [("天地玄黄宇宙洪荒星辰列張", 3), ("あいうえおかきくけこアイウ", 2)])
def test_a_run_of_dense_characters_is_as_sure_as_one_of_their_letters(script: str, letters: int) -> None:
    dice = random.Random(letters)
    for _ in range(200):
        run, *around = ("".join(dice.choices(script, k=size)) for size in (-(-RUN_SURE // letters), 20, 20, 20, 20))
        one, other = user(around[0] + run + around[1]), user(around[2] + run + around[3])
        assert shared(MAKER.of(one).every, MAKER.of(other).every) >= 1


def test_a_template_is_about_as_many_letters_in_every_language_that_has_words() -> None:
    prints = {
        language: len(MAKER.of(user(TEMPLATES[language])).every) for language in ("English", "Chinese", "Japanese")
    }
    assert max(prints.values()) < 1.6 * min(prints.values()), prints


def test_the_guarantee_holds_across_the_blocks_that_long_texts_are_read_in() -> None:
    text = words(9, 12_000)
    prints = MAKER.of(user(text)).every
    letters = text.replace(" ", "")
    assert LETTERS_USUAL > len(letters) > 1 << 14
    for at in range((1 << 14) - 120, (1 << 14) + 80):
        assert shared(MAKER.of(user(letters[at : at + RUN_SURE])).every, prints) >= 1


@given(st.text(st.sampled_from("abc d你"), max_size=60), st.text(st.sampled_from("abc d你"), max_size=60))
def test_only_equal_runs_have_equal_prints(one: str, other: str) -> None:
    def grams(text: str) -> set[str]:
        plain = text.replace(" ", "")
        return {plain} if len(plain) < GRAM else {plain[at : at + GRAM] for at in range(len(plain) - GRAM + 1)}

    if not grams(one) & grams(other) - {""}:
        assert shared(MAKER.of(user(one)).every, MAKER.of(user(other)).every) == 0


def test_the_general_path_has_the_prints_of_the_one_for_ascii() -> None:
    plain, general = MAKER.of(user(TEMPLATE)), MAKER.of(user(TEMPLATE + "\u2026"))
    assert np.array_equal(plain.sample, general.sample)
    assert plain[1:3] == general[1:3]


def test_what_samples_have_in_common_does_not_depend_on_what_they_lack() -> None:
    common = words(10, 700)
    one, other = (MAKER.of(user(common + words(seed, 40))).sample for seed in (11, 12))
    assert shared(one, other) >= SAMPLE_MOST * 0.8


@pytest.mark.parametrize("count", [0, 1, 3, 30, 300, 3000, 30_000])
def test_a_sample_is_sorted_distinct_and_bounded(count: int) -> None:
    sample = MAKER.of(user(words(13, count))).sample
    assert sample.dtype == np.uint64
    assert sample.size <= SAMPLE_MOST
    assert np.array_equal(sample, np.unique(sample))
    assert (sample.size > 0) == (count > 0)
    assert sample.size == SAMPLE_MOST or count < 1000


def test_the_same_key_gives_the_same_prints_in_every_process() -> None:
    prints = Fingerprinter(KEY).of(user(TEMPLATE))
    assert np.array_equal(prints.sample, MAKER.of(user(TEMPLATE)).sample)
    assert (prints.whole, int(prints.sample[0])) == (5631711914240798464, 3035454621193660492)


def test_another_key_shares_nothing() -> None:
    other = Fingerprinter(OTHER_KEY)
    for text in TEMPLATES.values():
        one, two = MAKER.of(user(text)), other.of(user(text))
        assert shared(one.sample, two.sample) == 0
        assert one.whole != two.whole


def test_without_the_key_no_guess_matches() -> None:
    target = MAKER.of(user(TEMPLATE)).every
    for seed in range(40):
        guessing = Fingerprinter(random.Random(seed).randbytes(32))
        assert shared(target, guessing.of(user(TEMPLATE + words(seed, 1000))).every) == 0


def test_prints_look_random() -> None:
    prints = MAKER.of(user(words(14, 12_000))).every
    bits = np.unpackbits(prints.view(np.uint8)).reshape(-1, 64).mean(axis=0)
    assert np.all(abs(bits - 0.5) < 5 * 0.5 / prints.size**0.5)


def test_the_question_is_the_last_message_of_the_user() -> None:
    def asked(*texts: tuple[str, str, str]) -> int:
        return MAKER.of([Text(*text) for text in texts]).question

    alone = asked(("user", "messages[0].content", "What is 17 + 4?"))
    assert alone == asked(("system", "system", "Be brief."), ("user", "messages[0].content", "what is 3 + 12"))
    assert alone == asked(
        ("user", "messages[0].content", "Hello"),
        ("assistant", "messages[1].content", "Hello!"),
        ("user", "messages[2].content[0].text", "What"),
        ("user", "messages[2].content[1].text", "is"),
        ("tools", "tools[0].description", "Adds."),
    )
    assert alone != asked(("user", "messages[0].content", "What was 17 + 4?"))
    assert asked(("system", "system", "Be brief.")) == asked(("user", "messages[0].content", "17 + 4")) == asked() == 0


@pytest.mark.parametrize("text", ["", " ", "12 34", "\u200b", "\ud800"])
def test_a_prompt_without_letters_has_no_prints(text: str) -> None:
    prints = MAKER.of(user(text))
    assert (prints.sample.size, prints.question, prints.whole) == (0, 0, 0)


def test_a_short_prompt_is_known_by_the_whole_of_it() -> None:
    prints = MAKER.of(user("Hi!"))
    assert [int(each) for each in prints.sample] == [prints.whole]
    assert MAKER.of(user("hi")).whole == prints.whole != MAKER.of(user("ho")).whole


@pytest.mark.parametrize("text", ["\u0301", "\u094d", "क\u094d", "ﷺ", "a", "你", "ab", "\ud800", "0", "\u202e"])
def test_a_million_characters_of_one_kind_are_bounded(text: str) -> None:
    assert MAKER.of(user(text * (1_000_000 // len(text)))).sample.size <= SAMPLE_MOST


@given(st.text(st.characters(exclude_categories=[])))
def test_no_text_raises(text: str) -> None:
    MAKER.of(user(text))


@pytest.mark.parametrize("size", [0, 16, 33])
def test_a_key_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="32"):
        Fingerprinter(bytes(size))


PIECES = st.sampled_from(
    [
        TEMPLATE,
        TEMPLATE[:30],
        TEMPLATES["Chinese"],
        TEMPLATES["Hindi"],
        words(1, 400),
        words(2, 3_000),
        "a" * 90,
        "",
        "é",
    ]
)


@given(st.lists(st.lists(PIECES, max_size=3), max_size=24))
def test_prompts_that_are_read_together_have_the_prints_of_each(prompts: list[list[str]]) -> None:
    """Short ones, long ones, in several scripts and with repeated text, in any company."""
    read = [[Text("user", f"messages[{turn}]", text) for turn, text in enumerate(prompt)] for prompt in prompts]
    together = MAKER.of_each(read)
    for prompt, prints in zip(read, together, strict=True):
        alone = Fingerprinter(KEY).of(prompt)
        assert (prints.question, prints.whole) == (alone.question, alone.whole)
        assert prints.sample.tolist() == alone.sample.tolist()
        every = MAKER.of(prompt).every.tolist()
        assert prints.every.tolist() == every
        assert (prints.every is prints.sample) == (len(every) <= SAMPLE_MOST)
        assert (
            prints.sample.tolist() == every if len(every) <= SAMPLE_MOST else set(prints.sample.tolist()) < set(every)
        )


def test_threads_share_the_tables_and_make_the_same_prints() -> None:
    maker, threads = Fingerprinter(KEY), 3
    prompts = [user(words(seed, 2_000)) for seed in range(8)]
    expected = [maker.of(prompt) for prompt in prompts]

    def same_prints(_: int) -> bool:
        together.wait()
        return all(
            np.array_equal(found.every, wanted.every) and found[1:3] == wanted[1:3]
            for found, wanted in zip(map(maker.of, prompts * 20), expected * 20, strict=True)
        )

    together = Barrier(threads)
    tracemalloc.start()
    try:
        with ThreadPoolExecutor(threads) as pool:
            assert all(pool.map(same_prints, range(threads)))
            assert tracemalloc.get_traced_memory()[0] < threads * 500_000
    finally:
        tracemalloc.stop()
