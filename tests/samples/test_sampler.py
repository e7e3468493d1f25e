"""Who is chosen, what is bounded, and what is lost and counted when there is no room."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from proxy.clock import VirtualClock
from proxy.decision import NO_SHADOW, Effect, Shadow, Verdict
from proxy.dialects import dialects
from proxy.exchange import Call, Text
from proxy.keyed.sample_keys import load_private
from proxy.samples.envelope import Envelope, unseal
from proxy.samples.excerpt import Heard
from proxy.samples.files import Reader
from proxy.samples.sampler import QUEUE_MAX, Place, Sampler, Texts
from tests.decisions.endings import STARTED, recorder
from tests.samples.said import DEGRADED, ended, settings

MIDNIGHT = 1_793_577_600.0  # 2026-11-02T00:00:00Z
TEXTS: dict[str, Texts] = {dialect.name: dialect.texts for dialect in dialects(frozenset()).values()}


class Bench:
    """A sampler and what it told."""

    def __init__(self, folder: Path, *, secret: bytes = b"s" * 32, texts: Texts | None = None, **changes: Any) -> None:
        self.clock = VirtualClock(MIDNIGHT + 86_399)
        self.kept: list[Envelope] = []
        self.sampler = Sampler(
            settings(folder, **changes),
            Place(folder / "samples", 0),
            secret,
            TEXTS if texts is None else {"openai.chat": texts},
            self.clock,
            self.kept.append,
        )

    def results(self) -> dict[str, float]:
        return {labels[0]: count for (_, labels), count in self.sampler.numbers().items()}


async def test_what_is_taken_is_on_the_disk_and_told_with_its_digest(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    heard = bench.sampler.listen("ex_0007", DEGRADED)
    assert heard is not None
    heard.add(b"an ans\xc3")
    assert bench.sampler.take(ended(7), heard)
    await bench.sampler.close()
    (envelope,) = Reader.of([tmp_path / "samples"]).envelopes()
    assert bench.kept == [envelope]
    content = unseal(envelope, load_private(tmp_path / "samples.key"))
    assert [text.text for text in content.request.beginning] == ["hi 7"]
    assert (content.answer, content.answer_whole) == ("an ans\ufffd", True)
    assert bench.results() == {"kept": 1, "no_room": 0, "lost": 0}


DENIED = Verdict(Effect.DENY, by="closed")
SHADOWED = Verdict(Effect.ALLOW, shadow=Shadow("clamp", 20))
MATCHED = Verdict(Effect.ALLOW, fired=("says-few",))
KINDS = [
    (DEGRADED, {"degraded"}),
    (DENIED, {"denied"}),
    (Verdict(Effect.DENY, by="request"), set()),
    (Verdict(Effect.DENY, by="client"), set()),
    (SHADOWED, {"shadow"}),
    (MATCHED, {"matched"}),
    (Verdict(Effect.ALLOW, shadow=NO_SHADOW), set()),
]


@pytest.mark.parametrize("wanted", ["degraded", "denied", "shadow", "matched"])
async def test_only_what_the_settings_name_is_taken(tmp_path: Path, wanted: str) -> None:
    bench = Bench(tmp_path, of=(wanted,))
    for number, (verdict, kinds) in enumerate(KINDS):
        assert bench.sampler.take(ended(number, verdict=verdict), None) is (wanted in kinds), verdict
        assert (bench.sampler.listen(f"ex_{number}", verdict) is not None) is (wanted in kinds)
    await bench.sampler.close()


async def test_what_was_not_read_or_not_decided_is_not_taken(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    unread = ended()
    unread.exchange.call = None
    assert not bench.sampler.take(unread, None)
    assert not bench.sampler.take(ended(decide=None), None)
    await bench.sampler.close()


async def test_a_share_is_chosen_by_the_secret_and_the_exchange_alone(tmp_path: Path) -> None:
    chosen = []
    for secret in (b"a" * 32, b"a" * 32, b"b" * 32):
        bench = Bench(tmp_path, secret=secret, share=0.25)
        chosen.append({number for number in range(1000) if bench.sampler.listen(f"ex_{number}", DEGRADED) is not None})
        await bench.sampler.close()
    assert chosen[0] == chosen[1] != chosen[2]
    for each in chosen:
        assert 200 < len(each) < 300  # 250 and 13.7, one standard deviation


async def test_one_account_has_its_share_of_an_hour(tmp_path: Path) -> None:
    bench = Bench(tmp_path, per_account_hour=3)
    taken = [bench.sampler.take(ended(number), None) for number in range(5)]
    assert taken == [True, True, True, False, False]
    assert bench.sampler.take(ended(5, account="another"), None)
    bench.clock.advance(3600)
    assert bench.sampler.take(ended(6), None)
    await bench.sampler.close()


async def test_a_sample_has_the_moment_of_its_record(tmp_path: Path) -> None:
    bench, moments = Bench(tmp_path), (STARTED, 1_764_000_000.0019999, 1_764_000_000.9999999)
    records = []
    for number, moment in enumerate(moments):
        of_moment = ended(number)
        of_moment.exchange.started = moment
        assert bench.sampler.take(of_moment, None)
        records.append(json.loads(recorder().exchange(of_moment))["time"])
    await bench.sampler.close()
    assert [envelope.time for envelope in bench.kept] == records


async def test_a_days_room_opens_by_the_hour_and_what_is_beyond_it_is_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path, megabytes_per_day=1)
    bench.clock.advance(1)  # the first hour of a day: a 24th of a megabyte
    long = tuple(Text("user", "messages[0].content", "x" * 20_000) for _ in range(1))
    for number in range(4):
        assert bench.sampler.take(ended(number, texts=long), None)
    await bench.sampler.close()
    assert bench.results() == {"kept": 1, "no_room": 3, "lost": 0}
    assert not bench.sampler.take(ended(4), None), "nothing more is sealed for nothing in this hour"
    assert bench.results() == {"kept": 1, "no_room": 4, "lost": 0}
    bench.clock.advance(3600)
    assert bench.sampler.take(ended(5), None)
    again = Bench(tmp_path, megabytes_per_day=1)
    again.clock.advance(1 + 3600)
    assert again.sampler.take(ended(9, texts=long), None)
    await again.sampler.close()
    assert again.results() == {"kept": 1, "no_room": 0, "lost": 0}
    (path,) = (tmp_path / "samples").iterdir()
    assert path.stat().st_size < (2 << 20) // 24


async def test_a_disk_that_is_slow_fills_the_queue_and_never_the_loop(tmp_path: Path) -> None:
    """L-08."""
    slow, begun = threading.Event(), threading.Event()

    def texts(_: Call) -> Iterable[Text]:
        begun.set()
        slow.wait()
        return ()

    bench = Bench(tmp_path, texts=texts)
    taken = [bench.sampler.take(ended(number), Heard(10)) for number in range(QUEUE_MAX + 5)]
    assert taken == [True] * QUEUE_MAX + [False] * 5
    slow.set()
    await bench.sampler.close()
    assert bench.results() == {"kept": QUEUE_MAX, "no_room": 0, "lost": 5}
    assert len(bench.kept) == QUEUE_MAX


async def test_what_cannot_be_written_is_lost_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "samples").write_text("no folder")
    bench = Bench(tmp_path)
    for number in range(3):
        assert bench.sampler.take(ended(number), None)
    await bench.sampler.close()
    assert bench.results() == {"kept": 0, "no_room": 0, "lost": 3}
    assert bench.kept == []
    assert caplog.text.count("samples cannot be kept") == 1
