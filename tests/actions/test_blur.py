"""Embeddings lose detail in the answer, in both formats, the same for all of a campaign, and stay what they are else."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from proxy.actions.base import AnswerAction, Tools
from proxy.actions.drop import Drop
from proxy.clock import VirtualClock
from proxy.errors import UpstreamFailed
from proxy.exchange import Chunk, Exchange, Ties
from proxy.secrets import Purpose
from tests.actions.calls import EMBEDDINGS, EXCHANGE, embedding

TOOLS = Tools(VirtualClock(), lambda purpose: b"v" * 32 if purpose is Purpose.VECTORS else bytes(32))
CALL = embedding(input=["a", "b"])
VECTOR = (np.random.default_rng(0).standard_normal(64) / 8).astype(np.float32)
NUMBERS = [round(float(figure), 8) for figure in VECTOR]


def packed(vector: Any) -> str:
    return b64encode(np.asarray(vector, "<f4").tobytes()).decode()


def unpacked(text: str) -> Any:
    return np.frombuffer(b64decode(text), "<f4").astype(float)


def document(*vectors: Any) -> dict[str, Any]:
    items = [{"object": "embedding", "index": place, "embedding": vector} for place, vector in enumerate(vectors)]
    return {"object": "list", "data": items, "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}}


def blurred(blur: dict[str, Any], *vectors: Any, whose: Exchange = EXCHANGE) -> tuple[list[Any], bool]:
    """Return what becomes of the vectors of an answer, and whether that is a change; nothing else is touched."""
    action = Drop.read([{"embeddings": blur}]).begin(replace(whose, call=CALL), TOOLS)
    assert isinstance(action, AnswerAction)
    transform = action.on_answer(EMBEDDINGS.wire(streamed=False))
    came = document(*vectors)
    before = json.dumps(came)
    (out,) = transform.feed(Chunk(before.encode(), came))
    assert [*transform.end()] == []
    assert json.dumps(came) == before, "what came is not mutated"
    assert out.data is not None
    made = json.loads(EMBEDDINGS.encode(out, streamed=False))
    left = [item.pop("embedding") for item in made["data"]]
    for item in came["data"]:
        del item["embedding"]
    assert made == came
    return left, transform.changed


def cosine(one: Any, other: Any) -> float:
    return float(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("decimals", [1, 3, 8])
def test_figures_are_round_in_both_formats(decimals: int) -> None:
    (numbers, text), changed = blurred({"decimals": decimals}, NUMBERS, packed(VECTOR))
    assert numbers == [round(figure, decimals) for figure in NUMBERS]
    assert np.array_equal(unpacked(text), np.round(VECTOR.astype(float), decimals).astype(np.float32))
    assert changed


@pytest.mark.parametrize("degrees", [0.5, 5, 45])
def test_a_vector_turns_by_the_angle_and_keeps_its_length_in_both_formats(degrees: float) -> None:
    (numbers, text), changed = blurred({"degrees": degrees}, NUMBERS, packed(VECTOR))
    assert changed
    for made in (numbers, unpacked(text)):
        assert np.linalg.norm(made) == pytest.approx(np.linalg.norm(VECTOR), rel=1e-5)
        assert cosine(made, VECTOR) == pytest.approx(np.cos(np.radians(degrees)), abs=1e-4)
    assert np.allclose(numbers, unpacked(text), atol=1e-6), "the format makes no difference"


def test_both_together_turn_first_and_round_then() -> None:
    ((turned,), _), ((both,), _) = (blurred(blur, NUMBERS) for blur in ({"degrees": 5}, {"degrees": 5, "decimals": 2}))
    assert both == [round(figure, 2) + 0.0 for figure in turned]


def test_who_belongs_together_gets_the_same_and_asking_again_gives_nothing_new() -> None:
    def asked(account: str, **ties: str) -> list[float]:
        of = replace(EXCHANGE, principal=replace(EXCHANGE.principal, account=account), ties=Ties(**ties))
        (made,), _ = blurred({"degrees": 5}, NUMBERS, whose=of)
        return list(made)

    member = asked("a", cluster="c-1", template="t-1")
    assert member == asked("a", cluster="c-1") == asked("b", cluster="c-1")
    contained = asked("c", template="t-1")
    assert contained == asked("d", template="t-1")
    apart = [member, contained, asked("a"), asked("b")]
    assert len({tuple(each) for each in apart}) == 4


def test_vectors_of_several_lengths_are_turned_each_in_its_own() -> None:
    (one, two), _ = blurred({"degrees": 5}, NUMBERS, NUMBERS[:9])
    assert (len(one), len(two)) == (64, 9)
    assert cosine(two, NUMBERS[:9]) == pytest.approx(np.cos(np.radians(5)), abs=1e-4)


@pytest.mark.parametrize(
    "strange", ["no base64!", "AAA", "AAAAAAA=", ["a"], [True], [None], {"int8": [1]}, 5, [10**400]]
)
def test_what_cannot_be_read_is_never_passed_on(strange: Any) -> None:
    with pytest.raises(UpstreamFailed, match="embedding that cannot be passed on"):
        blurred({"decimals": 3}, NUMBERS, strange)


@pytest.mark.parametrize("empty", [[], ""])
def test_a_vector_without_figures_is_left_alone(empty: Any) -> None:
    assert blurred({"degrees": 5, "decimals": 3}, empty) == ([empty], False)
