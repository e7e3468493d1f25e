"""Prints that were made once: what replicas, flagged templates and findings of before know prompts by."""

from __future__ import annotations

import random
from hashlib import blake2b

import pytest

from proxy.exchange import Text
from proxy.fingerprint.winnow import Fingerprinter, Prints
from tests.fingerprint.prompts import KEY, TEMPLATES

MAKER = Fingerprinter(KEY)
SIZES = (1, 15, 16, 40, 300, 2_000, 70_000)  # letters; around the grams' and the windows' size, short, and in blocks

ENGLISH = "the quick brown fox jumps over a lazy dog WHO NEVER SAW 17 of them - not one."
POOLS = {
    "ASCII": ENGLISH,
    "typographic": ENGLISH + "\u2019\u201c\u201d\u2014\u2026",
    "emoji": ENGLISH
    + "\U0001f600\U0001f1fa\U0001f1f8\U0001f468\u200d\U0001f469\u200d\U0001f467\ufe0f\U0001f44d\U0001f3fd",
    "zero width and bidi": ENGLISH + "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u200e\u202a\u202c\u202e\u2066\u2069",
    "surrogates": ENGLISH + "\ud800\udbff\udc00\udfff\ue000\U0010ffff",
    "homoglyphs": ENGLISH + "асеорхуіјѕАВСЕНКМОРТХ\u03bd\u13aa\uff41\uff21",
    "mathematical": ENGLISH + "\U0001d41b\U0001d428\U0001d459\U0001d48a\U0001d523\u24d0\U0001f170\u1d00",
    "ligatures": ENGLISH + "ﬁﬃﷺⅣ㎏㌔Ǆßǆ\u0149",
    "accents": "dès noël où l’été réñôvé łódź ØRSTED Ångström çağrı ",
    "decomposed accents": "de\u0300s noe\u0308l ou\u0300 l’e\u0301te\u0301 c\u0327a z\u0335\u0321\u0489\u20dd ",
    "Cyrillic": "съешь же ещё этих МЯГКИХ французских булок да выпей чаю ",
    "Greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία ΚΑΛΗΜΕΡΑ ",
    "Arabic": "صِف خَلقَ خَودٍ كَمِثلِ الشَمسِ إِذ بَزَغَت مـحـمـد ﻣﺤﻤﺪ ",
    "Hebrew": "דג סקרן שט בים מאוכזב ולפתע מצא לו חברה שָׁלוֹם ",
    "Hindi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा का क़लम ज़रूर फ़ \u0958\u0915\u093c ",
    "Tamil": "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல் ",
    "Thai": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์ ",
    "Burmese": "သီဟိုဠ်မှ ဉာဏ်ကြီးရှင်သည် \u1026\u1025\u102e ",
    "Korean": "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다 ",
    "Hangul jamo": "\u1100\u1161\u11a8\u1112\u1175\u11bc\u3131\u314f\uffa1\uffc2 가각힣",
    "Chinese": "天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往，。",
    "rare ideographs": "天地玄黃\U00020000\U0002a6d6\U0002f800\U00030000\uf900〇",
    "Japanese": "いろはにほへとちりぬるを我が世誰ぞ常ならむガギグゲゴ",
    "half-width kana": "ｲﾛﾊﾆﾎﾍﾄｶﾞｷﾞｸﾞﾊﾟﾋﾟ が",
    "stray marks": "разд請步STEP\u0941\u094d\u3099\u093f\u0e34क",
    "scripts together": "step шаг βήμα خطوة कदम 단계 步骤 ステップ ขั้น ",
}


def prompts(script: str) -> list[list[Text]]:
    """Return prompts of many lengths, alone and between other messages, made by `random()` alone."""
    chance, pool = random.Random(script), POOLS[script]
    found = []
    for size in SIZES:
        text = "".join(pool[int(chance.random() * len(pool))] for _ in range(size))
        cut = int(chance.random() * size)
        found += [
            [Text("user", "messages[0].content", text)],
            [Text("system", "system", text[:cut]), Text("user", "messages[0].content", text[cut:])],
            [
                Text("system", "system", ENGLISH),
                Text("user", "messages[0].content", text[:cut]),
                Text("assistant", "messages[1].content", text[cut:]),
            ],
        ]
    return found


def digest(prints: list[Prints]) -> str:
    known = blake2b(digest_size=8)
    for each in prints:
        for array in (each.sample, each.every):
            known.update(len(array).to_bytes(4, "little") + array.tobytes())
        known.update(each.question.to_bytes(8, "little") + each.whole.to_bytes(8, "little"))
    return known.hexdigest()


RECORDED = {
    "ASCII": "3d38ef0b68172462",
    "typographic": "2ee84efc9088bc96",
    "emoji": "7607c0585bfc2741",
    "zero width and bidi": "ab222ff73ab25522",
    "surrogates": "26485eab70276ffd",
    "homoglyphs": "f27d0b18d46add6b",
    "mathematical": "dc6da855e2198671",
    "ligatures": "14205b9de747754b",
    "accents": "3c9de6ccb3ba1e8b",
    "decomposed accents": "d30f5373f06186fa",
    "Cyrillic": "4a2e2b3a2a6f28ed",
    "Greek": "86123d57e117c846",
    "Arabic": "d965b6a48aab73c1",
    "Hebrew": "904bf028d57de4cc",
    "Hindi": "2e9b04f1fc443a21",
    "Tamil": "659838a6c445dc84",
    "Thai": "c37c533dcf5ef25f",
    "Burmese": "265be7483df7774d",
    "Korean": "0f9b09c210258afc",
    "Hangul jamo": "4924500f3e3df162",
    "Chinese": "07905ea34062e7e6",
    "rare ideographs": "78b8a20ce6fe1468",
    "Japanese": "4fbab34ffbdb2561",
    "half-width kana": "28e6a081dacc80ae",
    "stray marks": "a1d845a388f11568",
    "scripts together": "a515d5007137b805",
    "the template in English": "385aeb33ddaf4ee8",
    "the template in Chinese": "db27b4eb3d11a110",
    "the template in Japanese": "aa3aa13f4a9aebae",
    "the template in Korean": "b0aded02597a0229",
    "the template in Russian": "f9b2e8cd255c2d4b",
    "the template in Greek": "9e297a45db0a651d",
    "the template in Arabic": "49ef2bfb8a069936",
    "the template in Hindi": "7879e2d0db85a1c8",
    "the template in Thai": "2eb86f0dc3708d56",
}


@pytest.mark.parametrize("script", POOLS)
def test_prompts_have_the_prints_that_they_always_had(script: str) -> None:
    assert digest([MAKER.of(prompt) for prompt in prompts(script)]) == RECORDED[script]
    assert digest(MAKER.of_each(prompts(script))) == RECORDED[script]


@pytest.mark.parametrize("language", TEMPLATES)
def test_templates_have_the_prints_that_they_always_had(language: str) -> None:
    assert digest([MAKER.of([Text("user", "", TEMPLATES[language])])]) == RECORDED[f"the template in {language}"]
