"""Who reads a sample reads what the model said, and not how an API writes it."""

from __future__ import annotations

import json

import pytest

from proxy.samples.answer_text import answer_text
from tests.rig.speech import CHAT, COMPLETIONS, EMBEDDINGS, FORM_NAMES, FORMS, MESSAGES, RESPONSES, Speech

SAID = ["Grüße: ", "3 < 4", "\nand more"]
WORDS = [
    form for form in zip(FORMS, FORM_NAMES, strict=True) if form[0][0] is not EMBEDDINGS and "count" not in form[1]
]


@pytest.mark.parametrize(("speech", "streamed"), [form for form, _ in WORDS], ids=[name for _, name in WORDS])
def test_the_words_of_an_answer_are_found_in_every_api(speech: Speech, streamed: bool) -> None:
    if streamed:
        assert speech.events is not None
        answer = b"".join(speech.events(SAID, "m-large", (9, 8))).decode()
    else:
        answer = json.dumps(speech.document("".join(SAID), "m-large", (9, 8)))
    assert answer_text(speech.name, answer) == "".join(SAID)


@pytest.mark.parametrize("speech", [CHAT, COMPLETIONS, RESPONSES, MESSAGES], ids=lambda speech: speech.name)
def test_a_stream_that_was_cut_says_what_was_whole_of_it(speech: Speech) -> None:
    assert speech.events is not None
    whole = b"".join(speech.events(SAID, "m-large", (9, 8))).decode()
    assert answer_text(speech.name, whole[: whole.index("and more")]) == "".join(SAID[:2])


@pytest.mark.parametrize("answer", ['{"choices": [{"mess', "", "no json", '{"data": [{"embedding": [1.0]}]}'])
def test_what_has_no_words_or_was_cut_is_shown_as_it_is(answer: str) -> None:
    assert answer_text("openai.chat", answer) == answer
    assert answer_text("an api of another day", answer) == answer
