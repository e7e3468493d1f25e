"""Bounds on a request: what goes beyond one is brought within it, and every call stays one that its API accepts."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import pytest

from proxy.actions.base import Rejection
from proxy.actions.offers import LEFT_OUT, PICTURE
from proxy.errors import BadRequest
from proxy.exchange import Call
from tests.actions.calls import CHAT, HI, MESSAGES, acted, body, chat, completion, message, response

THINKING = {"thinking": {"type": "enabled", "budget_tokens": 2000}}


def function(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"properties": {"name": {"type": "string"}}}}}


def tool(name: str) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object"}}


def effort(name: str | None) -> dict[str, Any]:
    return {"type": "configuration_update", "reasoning": {"effort": name}}


UPDATE = effort("low")
LATER = {**tool("later"), "defer_loading": True}
SEARCH = {"type": "tool_search_tool_bm25", "name": "tool_search_tool_bm25"}
FN_A, FN_B, FN_C = ({"type": "function", "name": name, "parameters": {}} for name in "abc")


def later(name: str) -> dict[str, Any]:
    return {**tool(name), "defer_loading": True}


def said_found(*found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a conversation with what a client's search has found."""
    outputs = [{"type": "tool_search_output", "call_id": "s", "execution": "client", "tools": tools} for tools in found]
    return [*HI, *outputs]


def found(tools: list[dict[str, Any]], *found_: list[dict[str, Any]]) -> Call:
    return response(tools=tools, input=said_found(*found_))


def added(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a conversation that adds tools on its way."""
    return [*HI, {"type": "additional_tools", "role": "developer", "tools": tools}]


def adding(added_: list[dict[str, Any]], /, **members: Any) -> Call:
    return response(input=added(added_), **members)


def chosen(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name}


def allowed(*tools: dict[str, Any]) -> dict[str, Any]:
    return {"type": "allowed_tools", "mode": "required", "tools": list(tools)}


def referred(searched: list[str], returned: list[str]) -> list[dict[str, Any]]:
    """Return a conversation in which a search of the API's, and then one of the client's, refer to tools."""
    by_api, by_client = (
        [{"type": "tool_reference", "tool_name": name} for name in names] for names in (searched, returned)
    )
    result = {"type": "tool_search_tool_search_result", "tool_references": by_api}
    use = [{"type": "server_tool_use", "id": "s", "name": "search", "input": {}}, {"type": "tool_use", "id": "u"}]
    given = by_client or [{"type": "text", "text": "[What was found was left out here.]"}]
    return [
        *HI,
        {
            "role": "assistant",
            "content": [use[0], {"type": "tool_search_tool_result", "tool_use_id": "s", "content": result}, use[1]],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "u", "content": given}]},
    ]


def referring(tools: list[dict[str, Any]], searched: str, returned: str) -> Call:
    return message(tools=tools, messages=referred([searched], [returned]))


def image(number: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"https://example.com/{number}.png"}}


def block(number: int) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": f"https://example.com/{number}.png"}}


def said(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


TEXT = {"type": "text", "text": "see"}
A, B, C = function("a"), function("b"), function("c")
CUSTOM = {"type": "custom", "custom": {"name": "c"}}


@pytest.mark.parametrize(
    ("bounds", "call", "changed"),
    [
        ({"best_of": 2}, completion(best_of=5), {"best_of": 2}),
        ({"best_of": 2}, completion(best_of=5, n=3), {"best_of": 3}),
        ({"best_of": 1, "n": 1}, completion(best_of=5, n=3), {"best_of": 1, "n": 1}),
        ({"best_of": 1}, completion(n=3), {}),
        ({"n": 1}, completion(best_of=5, n=3), {"n": 1}),
    ],
)
async def test_an_answer_is_chosen_from_no_fewer_than_are_asked_for(
    bounds: Any, call: Call, changed: dict[str, Any]
) -> None:
    assert await body("clamp", bounds, call) == changed


@pytest.mark.parametrize(
    ("span", "call", "changed"),
    [
        ({"min": 0.3, "max": 1}, chat(temperature=2), {"temperature": 1}),
        ({"min": 0.3, "max": 1}, chat(temperature=0), {"temperature": 0.3}),
        ({"max": 0.5}, message(temperature=1), {"temperature": 0.5}),
        ({"min": 1}, message(temperature=0.2), {"temperature": 1}),
        ({"min": 0.3, "max": 1}, chat(temperature=0.3), {}),
        ({"max": 0.5}, chat(), {}),
        ({"max": 0.5}, chat(temperature=None), {}),
        ({"max": 0.5}, chat(temperature=True), {}),
        ({"max": 0.5}, chat(temperature="hot"), {}),
        ({"max": 0.5}, chat(temperature=1, reasoning_effort="low"), {}),
        ({"max": 0.5}, chat(temperature=1.9, reasoning_effort="low"), {"temperature": 0.5}),
        ({"max": 0.5}, chat(temperature=1, reasoning_effort="none"), {"temperature": 0.5}),
        ({"max": 0.5}, message(temperature=1, **THINKING), {}),
        ({"max": 0.5}, response(temperature=1, reasoning={"effort": "none"}), {"temperature": 0.5}),
        ({"max": 0.5}, response(temperature=1, input=[*HI, UPDATE]), {}),
        ({"max": 0.5}, response(temperature=1, reasoning={"effort": "none"}, input=[*HI, UPDATE]), {}),
        ({"max": 0.5}, response(temperature=1, input=[*HI, UPDATE, effort("none")]), {"temperature": 0.5}),
        ({"max": 0.5}, response(temperature=1, input=[*HI, UPDATE, effort(None)]), {}),
        ({"max": 0.5}, message(temperature=1, thinking={"type": "disabled"}), {"temperature": 0.5}),
    ],
)
async def test_a_temperature_that_is_given_lies_within_the_range(
    span: Any, call: Call, changed: dict[str, Any]
) -> None:
    assert await body("clamp", {"temperature": span}, call) == changed


@pytest.mark.parametrize(
    ("most", "call", "changed"),
    [
        (2, chat(tools=[A, B, C]), {"tools": [A, B]}),
        (3, chat(tools=[A, B, C]), {}),
        (2, chat(tools=[A, B, C], tool_choice="required"), {"tools": [A, B]}),
        (2, chat(tools=[A, B, C], tool_choice={"type": "function", "function": {"name": "c"}}), {"tools": [A, C]}),
        (1, chat(tools=[A, B, CUSTOM], tool_choice={"type": "custom", "custom": {"name": "c"}}), {"tools": [CUSTOM]}),
        (
            2,
            chat(
                tools=[A, B, C],
                tool_choice={"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [A, B, C]}},
            ),
            {
                "tools": [A, B],
                "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [A, B]}},
            },
        ),
        (1, chat(functions=[tool("a"), tool("b")], function_call={"name": "b"}), {"functions": [tool("b")]}),
        (1, message(tools=[tool("a"), tool("b")]), {"tools": [tool("a")]}),
        (1, message(tools=[tool("a"), tool("b")], tool_choice={"type": "tool", "name": "b"}), {"tools": [tool("b")]}),
        (2, message(tools=[LATER, LATER, tool("a"), SEARCH]), {"tools": [tool("a"), SEARCH]}),
        (2, message(tools=[LATER, LATER, SEARCH]), {"tools": [LATER, SEARCH]}),
        (2, found([FN_A], [FN_A, FN_B], [FN_B, FN_C]), {"input": said_found([], [FN_B])}),
        (4, found([FN_A], [FN_A, FN_B], [FN_B, FN_C]), {"input": said_found([FN_A], [FN_B, FN_C])}),
        (1, found([FN_A, FN_B], [FN_C]), {"tools": [FN_A], "input": said_found([])}),
        (5, found([FN_A], [FN_A, FN_B], [FN_B, FN_C]), {}),
        (2, adding([FN_A, FN_B, FN_C]), {"input": added([FN_A, FN_B])}),
        (1, adding([FN_A, FN_B], tool_choice=chosen("b")), {"input": added([FN_B])}),
        (1, adding([FN_B], tools=[FN_A], tool_choice=chosen("b")), {"tools": []}),
        (2, adding([FN_B], tools=[FN_A, FN_C], tool_choice=chosen("b")), {"tools": [FN_A]}),
        (2, adding([FN_B], tools=[FN_A, FN_C], tool_choice=chosen("c")), {"input": added([])}),
        (2, adding([FN_B], tools=[FN_A, FN_C], tool_choice=chosen("d")), {"input": added([])}),
        (
            2,
            response(input=[*added([FN_A, FN_B]), *added([FN_C, FN_C])], tool_choice=chosen("b")),
            {"input": [*added([FN_B]), *added([FN_C])]},
        ),
        (
            2,
            adding([FN_B], tools=[FN_A, FN_C], tool_choice=allowed(FN_A, FN_B)),
            {"input": added([]), "tool_choice": allowed(FN_A)},
        ),
        (2, adding([FN_B, FN_C], tools=[FN_A], tool_choice=allowed(FN_B)), {"input": added([FN_B])}),
        (3, adding([FN_B, FN_C], tools=[FN_A], tool_choice=allowed(FN_B, FN_C)), {}),
        # An earlier turn, which is kept upstream, may have added others.
        (
            1,
            adding([FN_C], tools=[FN_A], tool_choice=allowed(FN_A, FN_B, FN_C), previous_response_id="resp_1"),
            {"input": added([]), "tool_choice": allowed(FN_A, FN_B)},
        ),
        (
            3,
            referring([SEARCH, tool("a"), later("b"), later("c"), later("d")], "d", "c"),
            {"tools": [SEARCH, later("c"), later("d")]},
        ),
        (
            2,
            referring([tool("a"), later("b"), later("c"), SEARCH], "c", "b"),
            {"tools": [later("b"), SEARCH], "messages": referred([], ["b"])},
        ),
        (
            1,
            referring([tool("a"), later("b"), later("c")], "c", "b"),
            {"tools": [tool("a")], "messages": referred([], [])},
        ),
        (5, message(), {}),
    ],
)
async def test_no_more_tools_are_offered_and_the_chosen_one_stays(
    most: int, call: Call, changed: dict[str, Any]
) -> None:
    assert await body("clamp", {"tools": most}, call) == changed


def fetched(part: dict[str, Any]) -> dict[str, Any]:
    page = {"type": "document", "source": {"type": "content", "content": [part]}}
    return {
        "type": "web_fetch_tool_result",
        "tool_use_id": "s",
        "content": {"type": "web_fetch_result", "content": page},
    }


RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [TEXT, block(2)]}
DOCUMENT: dict[str, Any] = {"type": "document", "source": {"type": "content", "content": [block(1)]}}
NO_IMAGE = {"type": "content", "content": [LEFT_OUT]}
ODD = [said(fetched({"type": []}), {**TEXT, "output": {"type": {}}}, LEFT_OUT)]
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {"content": [{"type": "image"}]}}


@pytest.mark.parametrize(
    ("most", "call", "changed"),
    [
        (1, chat(messages=[said(image(1)), said(TEXT, image(2))]), [said(LEFT_OUT), said(TEXT, image(2))]),
        (0, chat(messages=[said(image(1)), said(TEXT, image(2))]), [said(LEFT_OUT), said(TEXT, LEFT_OUT)]),
        (2, chat(messages=[said(image(1)), said(TEXT, image(2))]), None),
        (0, chat(), None),
        (
            1,
            message(messages=[said(DOCUMENT), said(USE, role="assistant"), said(RESULT), said(block(3))]),
            [
                said({"type": "document", "source": {"type": "content", "content": [LEFT_OUT]}}),
                said(USE, role="assistant"),
                said({**RESULT, "content": [TEXT, LEFT_OUT]}),
                said(block(3)),
            ],
        ),
        (1, message(messages=[said(fetched(block(1)), block(2))]), [said(fetched(LEFT_OUT), block(2))]),
        (2, message(messages=[said(fetched(block(1)), block(2))]), None),
        # What an API passes over takes no other's place.
        (
            1,
            message(messages=[said({**TEXT, "output": [block(1), block(2)]}, block(3), block(4))]),
            [said({**TEXT, "output": [LEFT_OUT, LEFT_OUT]}, LEFT_OUT, block(4))],
        ),
        (
            0,
            message(messages=[said({**DOCUMENT, "source": {**DOCUMENT["source"], "source": DOCUMENT["source"]}})]),
            [said({**DOCUMENT, "source": {"type": "content", "content": [LEFT_OUT], "source": NO_IMAGE}})],
        ),
        (0, message(messages=[said(fetched({"type": []}), {**TEXT, "output": {"type": {}}}, block(1))]), ODD),
    ],
)
async def test_the_last_images_are_shown_and_the_model_knows_of_the_others(most: int, call: Call, changed: Any) -> None:
    assert (await body("clamp", {"images": most}, call)).get("messages") == changed


def shot(picture: str, **more: Any) -> dict[str, Any]:
    screen = {"type": "computer_screenshot", "image_url": picture, **more}
    return {"type": "computer_call_output", "call_id": "c", "output": screen}


async def test_of_what_a_computer_showed_the_last_images_stay_and_each_other_says_that_it_was_left_out() -> None:
    own = {"type": "input_image", "image_url": "https://example.com/1.png"}
    shots = [shot("https://example.com/2.png", file_id="file-1"), shot("https://example.com/3.png")]
    given = [said(own), *shots, {**shots[1], "output": own}]
    changed = await body("clamp", {"images": 1}, response(input=given))
    left = {"type": "input_text", "text": "[An image was left out here.]"}
    assert changed == {"input": [said(left), shot(PICTURE), shot(PICTURE), given[3]]}
    assert (await body("clamp", {"images": 0}, response(input=given)))["input"][3] == {
        **given[3],
        "output": {"type": "input_image", "image_url": PICTURE},
    }
    assert await body("clamp", {"images": 4}, response(input=given)) == {}
    among = {"type": "function_call_output", "call_id": "c", "output": [shots[0]["output"], own]}
    assert await body("clamp", {"images": 1}, response(input=[among])) == {"input": [{**among, "output": [left, own]}]}
    pixels = base64.b64decode(PICTURE.partition(",")[2])
    assert pixels[:8] == b"\x89PNG\r\n\x1a\n"
    assert zlib.crc32(pixels[-8:-4]) == int.from_bytes(pixels[-4:])


async def test_a_picture_that_a_tool_made_is_an_image_of_the_conversation_that_it_comes_back_in() -> None:
    made = [{"type": "image_generation_call", "id": f"ig_{n}", "status": "completed", "result": "AAAA"} for n in "12"]
    pending = {**made[0], "result": None}
    given = [made[0], pending, said({"type": "input_image", "image_url": "https://example.com/1.png"}), made[1]]
    left = {**made[0], "result": PICTURE.partition(",")[2]}
    assert await body("clamp", {"images": 2}, response(input=given)) == {"input": [left, *given[1:]]}
    assert await body("clamp", {"images": 3}, response(input=given)) == {}


@pytest.mark.parametrize("call", [chat(), message()], ids=["chat", "message"])
async def test_a_conversation_that_is_too_long_is_refused_as_its_api_refuses_one(call: Call) -> None:
    assert await acted("clamp", {"context_tokens": 1000}, call, text_bytes=2999) is call
    refused = await acted("clamp", {"context_tokens": 1000}, call, text_bytes=3000)
    assert isinstance(refused, Rejection)
    assert isinstance(refused.error, BadRequest)
    assert (refused.error.status, refused.error.code, refused.error.param) == (
        400,
        "context_length_exceeded",
        "messages",
    )
    for dialect in (CHAT, MESSAGES):
        told = dialect.error(refused.error, "ex_1")
        assert b"prompt is too long: about 1001 tokens, and at most 1000" in told
        assert b'"invalid_request_error"' in told


async def test_bounds_hold_together_and_what_is_within_all_of_them_is_the_very_same_call() -> None:
    bounds = {"max_output_tokens": 512, "n": 1, "temperature": {"max": 1}, "tools": 1, "images": 0, "best_of": 1}
    beyond = chat(n=3, temperature=2, tools=[A, B], messages=[said(image(1))])
    assert await body("clamp", bounds, beyond) == {
        "max_completion_tokens": 512,
        "n": 1,
        "temperature": 1,
        "tools": [A],
        "messages": [said(LEFT_OUT)],
    }
    within = chat(max_tokens=512, temperature=0.5, tools=[A])
    assert await acted("clamp", bounds, within) is within


async def test_bounds_on_tools_and_on_images_hold_for_one_conversation() -> None:
    shown = {"role": "user", "content": [{"type": "input_image", "image_url": "https://example.com/a.png"}]}
    asked = response(tools=[FN_A], input=[*said_found([FN_B]), shown])
    left_out = {"role": "user", "content": [{**LEFT_OUT, "type": "input_text"}]}
    assert await body("clamp", {"tools": 1, "images": 0}, asked) == {"input": [*said_found([]), left_out]}
