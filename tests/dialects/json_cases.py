"""JSON as RFC 8259 has it, told by a recogniser that shares nothing with the reader, and cases at all of its edges.

The kinds of cases are those of the well-known conformance suites: what must be read, what must not be, and what parsers
are free to read or to refuse, which a judge has to refuse unless it sends on just what it read.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
      (?P<sign>[\[\]{}:,])
    | (?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")
    | -?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?
    | true | false | null)""",
    re.VERBOSE,
)
_CONTAINER = re.compile(r"\[(?:[sv](?:,[sv])*)?\]|\{(?:s:[sv](?:,s:[sv])*)?\}")

VALID = [
    *["{}", "[]", '""', "0", "-0", "1", "-1", "true", "false", "null", "[[]]", '{"":0}', "[1,2]", '{"a":{"b":[]}}'],
    *["0.1", "1.5e3", "1E3", "1e+3", "1e-3", "-1.0e-2", "123456789012345678", "0e0", "0.0", "[0 ]", "[ 0]", "[0\n]"],
    *['"a"', '"\\""', '"\\\\"', '"\\/"', '"\\b\\f\\n\\r\\t"', '"\\u0041"', '"\\u00e9"', '"\\ud83d\\ude00"', '"\u00e9"'],
    *['"\U0001f600"', '"\u2028"', '"\ufeff"', '"\ufffe"', '"\x7f"', '"\\u0000"', '"\\uFFFF"', '"//"', '"/*"', '" "'],
    *["\t0", "0\r\n", " [ ] ", ' { "a" : 0 } ', '{"a":0,"b":0}', '{"a\\u0000b":0}', '["a",0,null,{}]', "[[],[],[]]"],
]
INVALID = [
    *[
        "",
        " ",
        "[",
        "]",
        "{",
        "}",
        "[,",
        "[,]",
        "[0,]",
        "[0,,0]",
        "[,0]",
        "[0 0]",
        "[0",
        "0]",
        "[]]",
        "[[]",
        '["a"',
        '["',
    ],
    *[
        "{,}",
        '{"a"}',
        '{"a":}',
        '{"a":0,}',
        "{:0}",
        '{"a" 0}',
        '{"a"::0}',
        '{"a":0 "b":0}',
        "{0:0}",
        "{a:0}",
        "{'a':0}",
    ],
    *['{"a":0', '{"a"', '{"a":', '{"a",0}', '{"a":0}}', '{"a":0}#', '{"a":/**/0}', '{"a":0}//', "{null:0}", "{[]:0}"],
    *[
        "-",
        "+1",
        "01",
        "-01",
        "1.",
        ".1",
        "-.1",
        "1e",
        "1e+",
        "1.e1",
        "0x1",
        "1_0",
        "1 0",
        "- 1",
        "--1",
        "++1",
        "1-",
        "0e+-1",
    ],
    *["1a", "1.2.3", "1eE2", "0b1", "1/2", "Infinity", "-Infinity", "NaN", "nan", "inf", "\uff11", "1\u0660", "1e1.0"],
    *["tru", "True", "TRUE", "nul", "None", "undefined", "truth", "fals", "*", "a", "'a'", '"', '"a', 'a"', '"a""b"'],
    *[
        '"\\"',
        '"\\a"',
        '"\\x41"',
        '"\\u"',
        '"\\u00"',
        '"\\u00G0"',
        '"\\u{41}"',
        '"\\U00000041"',
        '"\\ "',
        '"\\0"',
        "\"\\'",
    ],
    *[
        '"\n"',
        '"\t"',
        '"\x00"',
        '"\x1f"',
        '"\r"',
        "\\u0041",
        "\x0c0",
        "\xa00",
        "\u20600",
        "\x0b0",
        "[\x0c]",
        "\x000",
        "0\x00",
    ],
    *[
        "<a>",
        "[0}",
        '{"a":0]',
        "[1:2]",
        "[{]}",
        "#0",
        "//0",
        "/**/0",
        "0;",
        "(0)",
        "@",
        "[\\u000A]",
        '["a\x00b"]',
        "\u00e90",
    ],
]
# Of numbers, keys and halves of pairs, which parsers read in different ways.
FREE = [
    *["1e400", "-1e400", "1e-400", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "1" * 400],
    *["0." + "1" * 400, "1e99999999999", '"\\ud800"', '"\\udc00\\ud800"', '"\\ud800\\u0041"', '{"a":0,"a":0}'],
    *['{"a":0,"\\u0061":1}', '{"\\ud800":0}', "9007199254740993", "1.00000000000000000001", "0.1e1", "-0.0", "1e22"],
    *["[" * 63 + "]" * 63, "[" * 64 + "]" * 64, "[" * 500 + "]" * 500, '{"a":' * 100 + "0" + "}" * 100],
]
# No text at all.
BYTES = [
    *[b'"\xff"', b'"\xc3"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x82"', b'"\x80"', b"\xe9"],
    *[
        '"é"'.encode("latin-1"),
        '"a"'.encode("utf-16"),
        '"a"'.encode("utf-16-be"),
        '"a"'.encode("utf-32"),
        b"\xef\xbb\xbf0",
    ],
]


def is_json(text: str) -> bool:
    """Tell whether a text is JSON: its tokens are found first, then containers are folded until one value is left."""
    kinds, place = "", 0
    end = len(text.rstrip(" \t\n\r"))
    while place < end:
        token = _TOKEN.match(text, place)
        if token is None:
            return False
        kinds += token["sign"] or ("s" if token["string"] else "v")
        place = token.end()
    while (folded := _CONTAINER.sub("v", kinds)) != kinds:
        kinds = folded
    return kinds in ("s", "v")


def mutants(count: int, seed: int) -> Iterator[str]:
    """Yield objects that were JSON before something was taken out of them, put in, doubled or exchanged."""
    dice = random.Random(seed)
    pieces = [*VALID, *INVALID, *FREE[:20], *'[]{}:,"\\-+.eE019 \t\n\x00\x1f/\u00e9']
    for _ in range(count):
        values = [dice.choice(VALID) for _ in range(dice.randrange(1, 5))]
        text = "{" + ",".join(f'"{number}":{value}' for number, value in enumerate(values)) + "}"
        for _ in range(dice.randrange(3)):
            at, length = dice.randrange(len(text) + 1), dice.randrange(3)
            text = text[:at] + dice.choice(["", text[at : at + 3] * 2, dice.choice(pieces)]) + text[at + length :]
        yield text
