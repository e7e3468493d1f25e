"""Prompts for the tests of this room, and ways to write them differently."""

from __future__ import annotations

import random

from proxy.exchange import Text

KEY = bytes(range(32))
OTHER_KEY = bytes(range(1, 33))

TEMPLATE = (
    "You are a patient tutor who writes worked solutions. Read the exercise below slowly, restate it in one sentence, "
    "then list every step that leads to the answer, with the reason for it. Check the result a second way, and close "
    "with a line that begins with the word Answer. Never skip a step, however plain it may look to an expert reader."
)
TEMPLATES = {
    "English": TEMPLATE,
    "Chinese": (
        "你是一位耐心的老师,负责写出完整的解题过程。请先仔细阅读下面的题目,用一句话复述它的意思,然后逐步列出通向答案的每一个步骤,"
        "并说明这样做的理由。请用另一种方法检查结果,最后用一行文字写出答案。无论步骤看起来多么简单,都不要省略。"
    ),
    "Japanese": (
        "あなたは忍耐強い家庭教師で、途中式をすべて書き出します。下の問題をゆっくり読み、一文で言い換えてから、答えにたどり着くまでの手順を"
        "理由とともに一つずつ並べてください。別の方法で結果を確かめ、最後の行に答えを書いてください。"
    ),
    "Korean": (
        "당신은 풀이 과정을 빠짐없이 적는 참을성 있는 교사입니다. 아래 문제를 천천히 읽고 한 문장으로 바꾸어 말한 다음, 답에 이르는 모든 "
        "단계를 그 이유와 함께 나열하세요. 다른 방법으로 결과를 확인하고 마지막 줄에 답을 적으세요."
    ),
    "Russian": (
        "Вы терпеливый наставник и пишете подробные решения. Прочитайте задачу не торопясь, перескажите её одним "
        "предложением, затем перечислите каждый шаг, ведущий к ответу, и объясните, зачем он нужен. Проверьте итог "
        "другим способом и закончите строкой, которая начинается словом Ответ."
    ),
    "Greek": (
        "Είστε ένας υπομονετικός δάσκαλος που γράφει πλήρεις λύσεις. Διαβάστε αργά την παρακάτω άσκηση, πείτε τη με μία "
        "πρόταση και έπειτα γράψτε κάθε βήμα που οδηγεί στην απάντηση, μαζί με τον λόγο του."
    ),
    "Arabic": (
        "أنت معلم صبور يكتب الحلول كاملة. اقرأ التمرين أدناه ببطء، وأعد صياغته في جملة واحدة، ثم اذكر كل خطوة تؤدي إلى "
        "الجواب مع سببها. تحقق من النتيجة بطريقة أخرى، واختم بسطر يبدأ بكلمة الجواب."
    ),
    "Hindi": (
        "आप एक धैर्यवान शिक्षक हैं जो पूरे हल लिखते हैं। नीचे दिया गया प्रश्न धीरे-धीरे पढ़िए, उसे एक वाक्य में दोहराइए, फिर उत्तर तक ले जाने वाला "
        "हर कदम उसके कारण के साथ लिखिए। परिणाम को दूसरे तरीके से जाँचिए और अंत में उत्तर लिखिए।"
    ),
    "Thai": (
        "คุณเป็นครูที่ใจเย็นและเขียนวิธีทำอย่างครบถ้วน อ่านโจทย์ด้านล่างช้าๆ อธิบายโจทย์ใหม่ในประโยคเดียว แล้วเขียนทุกขั้นตอนที่นำไปสู่คำตอบ"
        "พร้อมเหตุผลของแต่ละขั้นตอน ตรวจคำตอบด้วยวิธีอื่นอีกครั้ง"
    ),
}
_SYLLABLES = [one + other for one in "bcdfghjklmnpqrstvwxyz" for other in "aeiou"]


def words(seed: int, count: int) -> str:
    """Return text that is like no other: words that nobody has written."""
    chance = random.Random(seed)
    return " ".join("".join(chance.choices(_SYLLABLES, k=chance.randint(1, 4))) for _ in range(count))


def user(text: str) -> list[Text]:
    """Return a prompt that is one message."""
    return [Text("user", "messages[0].content", text)]


def jittered(text: str, seed: int = 0) -> str:
    """Return the text in other case, spacing, punctuation and numbers."""
    chance = random.Random(seed)
    noise = ["", "", "", " ", "\n\n", "\t", ", ", " - ", "*", "_", " 17) ", "…", "\u00a0", " # "]
    return "".join(char.swapcase() if chance.random() < 0.3 else char for char in text).replace(
        " ", chance.choice(noise)
    ) + "".join(chance.choices(noise, k=5))


def strewn(text: str, hidden: str) -> str:
    """Return the text with characters of `hidden` strewn in."""
    chance = random.Random(0)
    return "".join(char + (chance.choice(hidden) if chance.random() < 0.3 else "") for char in text)
