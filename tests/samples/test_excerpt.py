"""What is kept of a long request and answer is bounded, true, and says where something is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from hypothesis import given
from hypothesis import strategies as st

from proxy.exchange import Text
from proxy.samples.excerpt import Excerpt, Heard, excerpt


def said(*texts: str) -> list[Text]:
    return [Text("user", f"messages[{number}].content", text) for number, text in enumerate(texts)]


def test_what_is_short_is_kept_whole_and_in_order() -> None:
    texts = said("first", "second", "third")
    assert excerpt(texts, 1000) == Excerpt(texts, [], whole=True)
    assert excerpt([], 1000) == Excerpt([], [], whole=True)


def test_a_text_longer_than_half_the_room_is_one_text_if_it_has_room() -> None:
    texts = said("x" * 400)
    assert excerpt(texts, 600) == Excerpt(texts, [], whole=True)


def test_a_long_text_is_kept_from_both_ends() -> None:
    texts = said("begins" + "x" * 10_000 + "ends")
    kept = excerpt(texts, 100)
    assert [text.text for text in kept.beginning] == ["begins" + "x" * 44]
    assert [text.text for text in kept.end] == ["x" * 46 + "ends"]
    assert kept.whole is False


def test_the_last_message_is_kept_however_much_comes_before_it() -> None:
    texts = said("x" * 10_000, "y" * 10_000, "the question")
    kept = excerpt(texts, 1000)
    assert kept.end[-1] == texts[-1]
    assert kept.whole is False


@given(st.lists(st.text(max_size=300), max_size=30), st.integers(2, 2000))
def test_it_is_within_the_room_and_nothing_is_missing_unsaid(words: list[str], most: int) -> None:
    texts = said(*words)
    kept = excerpt(texts, most)
    assert sum(len(text.text) for text in (*kept.beginning, *kept.end)) <= most
    for text in kept.beginning:
        assert texts[int(text.where[9:-9])].text.startswith(text.text)
    for text in kept.end:
        assert texts[int(text.where[9:-9])].text.endswith(text.text)
    if kept.whole:
        assert [*kept.beginning, *kept.end] == texts
    else:
        assert len("".join(words)) + 128 * len(words) > most // 2


class Counted(Sequence[Text]):
    """A million texts, of which it is counted how many anybody looks at."""

    def __init__(self) -> None:
        self.seen = 0

    def __len__(self) -> int:
        return 1_000_000

    @overload
    def __getitem__(self, index: int) -> Text: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Text]: ...
    def __getitem__(self, index: int | slice) -> Text | Sequence[Text]:
        assert isinstance(index, int)
        self.seen += 1
        return Text("user", "tools", "x")

    def __iter__(self) -> Iterator[Text]:
        return (self[index] for index in range(len(self)))


def test_of_a_million_short_texts_few_are_looked_at() -> None:
    texts = Counted()
    assert excerpt(texts, 65_536).whole is False
    assert texts.seen < 600


@given(st.lists(st.binary(max_size=50), max_size=20), st.integers(0, 200))
def test_of_an_answer_the_beginning_is_kept_however_it_comes(pieces: list[bytes], most: int) -> None:
    heard = Heard(most)
    for piece in pieces:
        heard.add(piece)
    sent = b"".join(pieces)
    assert bytes(heard.kept) == sent[:most]
    assert heard.whole is (len(sent) <= most)
