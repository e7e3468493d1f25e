"""Random exchanges through the parts that production decides and records with, on a clock that moves within them too."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from proxy.actions.base import ModelFacts, Tools
from proxy.clock import VirtualClock
from proxy.deciding.answering import Answering
from proxy.deciding.decider import Decider, Decision
from proxy.decision import Effect, Outcome, Verdict
from proxy.decisions.ending import Ending
from proxy.decisions.journal import Journal
from proxy.decisions.pseudonyms import Pseudonyms
from proxy.decisions.record import Recorder
from proxy.decisions.target import FileTarget
from proxy.detectors import build, field_table
from proxy.dialects import dialects
from proxy.dialects.base import Dialect
from proxy.errors import ProxyError, StoreUnavailable
from proxy.exchange import Answered, Call, Exchange, Usage, Work
from proxy.fields import Value
from proxy.fingerprint.winnow import Fingerprinter
from proxy.keyed.link_names import LinkNames
from proxy.packs.archive import Note, PackArchive
from proxy.rules.campaigns.book import CampaignBook
from proxy.rules.campaigns.containment import Containment
from proxy.rules.campaigns.flags import raise_flags
from proxy.rules.campaigns.known import KnownCampaign, KnownTemplate
from proxy.rules.engine import Engine
from proxy.rules.flags.book import FlagBook
from proxy.rules.flags.flag import Lifted
from proxy.rules.pack.words import Mode
from proxy.rules.pack_file.loading import check_pack
from proxy.rules.quotas.quotas import Quotas
from proxy.rules.quotas.reservation import Amounts, Denial, Reservation
from proxy.rules.signals.book import SignalBook
from proxy.steps.intake import understand
from proxy.steps.refusal import refused, to_error, to_verdict
from proxy.store.memory import MemoryStore
from tests.decisions.bindings import sealed
from tests.hindsight.random_packs import random_pack
from tests.hindsight.random_requests import TEMPLATE, body, caller, completion

NOW = 1_790_000_000.0  # 2026-09-21 14:13:20 UTC
MIDNIGHT = 1_790_035_200.0
KEY = b"k" * 32
LINKS = {"docs_url": "", "appeal_url": ""}
MODELS = {"large": ModelFacts(4096), "small": ModelFacts(1024), "new": ModelFacts(2048)}
DIALECTS = {dialect.name: dialect for dialect in dialects().values()}
_TABLE = field_table()


class Sent(NamedTuple):
    """What really became of one exchange; `decision` is None if it never came so far."""

    id: str
    verdict: Verdict
    decision: Decision | None


class _Moody:
    """A detector that sometimes cannot look up what it remembers, and takes its time."""

    def __init__(self, inner: Any, world: RandomTraffic) -> None:
        self._inner, self._world = inner, world
        self.fields = inner.fields

    def inspect(self, exchange: Exchange) -> Mapping[str, Value]:
        found: Mapping[str, Value] = self._inner.inspect(exchange)
        return found

    def learn(self, exchange: Exchange, answered: Answered) -> Mapping[str, Value]:
        found: Mapping[str, Value] = self._inner.learn(exchange, answered)
        return found

    async def look_up(self, exchange: Exchange) -> Mapping[str, Value]:
        self._world.pass_some()
        if self._world.rng.random() < 0.02:
            raise StoreUnavailable("away")
        found: Mapping[str, Value] = await self._inner.look_up(exchange)
        return found


class _Slow:
    """Quotas that take their time."""

    def __init__(self, inner: Quotas, world: RandomTraffic) -> None:
        self._inner, self._world = inner, world

    def __len__(self) -> int:
        return len(self._inner)

    async def reserve(self, *asked: Any) -> Reservation | Denial:
        self._world.pass_some()
        return await self._inner.reserve(*asked)

    def settle(self, reservation: Reservation, used: Amounts) -> None:
        self._inner.settle(reservation, used)


class RandomTraffic:
    """One process; the log and the archive of its packs are in `folder`, as in a data folder."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.rng = random.Random(seed)
        self.clock = VirtualClock(NOW)
        store = MemoryStore(self.clock)
        self._store = store
        self._signals, self._flags = SignalBook(KEY), FlagBook()
        self._campaigns = CampaignBook(LinkNames(KEY))
        self._prints = Fingerprinter(KEY).of_each
        self._archive = PackArchive(folder / "packs")
        released = {"large": NOW - 1e7, "new": NOW - 3_600}
        built = build(store, KEY, released, ())
        self._detectors: list[Any] = [_Moody(each, self) if hasattr(each, "look_up") else each for each in built]
        self._quotas: Quotas | None = None
        self._files = [random_pack(self.rng, f"pack-{number}") for number in range(4)]
        self._numbers = itertools.count()
        self.max_mode = Mode.ENFORCE
        self.activate()
        recorder = Recorder("0", Pseudonyms("2026-09", KEY), self.clock)
        path = folder / "decisions" / "decisions-0.jsonl"
        self._journal = Journal.open(FileTarget(path), sealed(path, self.clock), recorder, self.clock, self.digest)

    @property
    def digest(self) -> str:
        return self._decider.pack.digest

    def activate(self) -> None:
        """Put another pack to work, archived as production does; now and then under another cap on modes."""
        data = self.rng.choice(self._files)
        pack, problems = check_pack(data, "pack")
        assert pack is not None, problems
        self._archive.keep(pack, data, Note(self.clock.wall(), "tests"))
        self.max_mode = Mode.SHADOW if self.rng.random() < 0.15 else Mode.ENFORCE
        if self._quotas is None:
            self._quotas = Quotas(pack, self._store, self.clock, "h", lambda: f"op-{next(self._numbers)}")
        else:
            self._quotas = self._quotas.adopt(pack)
        self._signals.keep_only(frozenset(signal.digest for signal in pack.signals))
        engine = Engine(pack, _TABLE, self._signals, self._flags, self.max_mode)
        self._decider = Decider(
            engine,
            _Slow(self._quotas, self),
            self._detectors,
            _TABLE,
            Tools(self.clock, models=MODELS),
            Containment(pack, self._campaigns, self.max_mode),
            self._prints,
        )

    def pass_some(self) -> None:
        """Let some time pass in the middle of a decision."""
        self.clock.advance(self.rng.choice((0.0, 0.0, 0.0003, 0.002, 0.4)))

    async def close(self) -> None:
        await self._journal.close()

    async def send(self) -> Sent:
        """Let something happen between two exchanges, and send one."""
        await self._meanwhile()
        rng = self.rng
        dialect = DIALECTS[rng.choice(("openai.chat", "openai.chat", *DIALECTS))]
        exchange = Exchange(
            f"x{next(self._numbers)}",
            dialect.name,
            f"192.0.2.{rng.randint(1, 5)}",
            rng.choice(("curl", "sdk")),
            "",
            self.clock.wall(),
            caller(rng, NOW),
        )
        sent, ending = await self._conduct(exchange, dialect, orjson.dumps(body(rng, dialect)))
        if sent.verdict.effect is Effect.DENY:
            await self._journal.record_first(ending)
        else:
            self._journal.record(ending)
        return sent

    async def _conduct(self, exchange: Exchange, dialect: Dialect, sent: bytes) -> tuple[Sent, Ending]:
        """Decide, answer and settle as the gateway does."""
        decider, began = self._decider, self.clock.monotonic()
        end = partial(
            Ending, exchange, pack_digest=decider.pack.digest, pack_name=decider.pack.name, outcome=Outcome.ANSWERED
        )
        try:
            intake = understand(dialect, sent, exchange, decider)
        except ProxyError as flaw:
            verdict = Verdict(Effect.DENY, by="request", reasons=(flaw.message,))
            return Sent(exchange.id, verdict, None), end(verdict, status=flaw.status, total=0.1)

        def estimate(call: Call) -> Amounts:
            written = call.most_output(MODELS[call.model].max_output_tokens or 0)
            return Amounts.of(call.most_input(intake.text_bytes), written, 0)

        decision = await decider.decide(exchange, estimate)
        decide = self.clock.monotonic() - began
        error = to_error(decision, exchange.id, LINKS) if decision.effect is Effect.DENY else None
        verdict, status = to_verdict(decision), error.status if error is not None else 200
        if error is None and intake.flaw is not None:
            verdict, status = refused(verdict, intake.flaw), intake.flaw.status
        if verdict.effect is Effect.DEGRADE and (answering := Answering.of_decision(decision, dialect, self.clock)):
            verdict = (await self._answered(answering, intake.call, decision, dialect)).told(verdict)
        declined = status == 200 and self.rng.random() < 0.1
        usage = Usage(10, 50) if status == 200 and intake.call.work is Work.ANSWER else Usage(0, 0)
        decider.learn(exchange, Answered(status, usage, declined))
        if decision.reservation is not None:
            decider.quotas.settle(decision.reservation, Amounts.of(usage.input, usage.output, 0))
        total = self.clock.monotonic() - began
        if decider.wants_prints(exchange):
            decider.print_each([exchange])
        fields = decider.read_fields(exchange)
        return Sent(exchange.id, verdict, decision), end(
            verdict, status=status, total=total, decide=decide, fields=fields
        )

    async def _answered(self, answering: Answering, asked: Call, decision: Decision, dialect: Dialect) -> Answering:
        """Let the answer pass, if there is one: a model that fails has none for actions to change."""
        if dialect.name == "openai.chat" and self.rng.random() < 0.8 and decision.call is not None:
            await answering.open(dialect, asked, streamed=False)
            decoder = dialect.decoder(decision.call, streamed=False, every=True)
            answering.of([*decoder.feed(orjson.dumps(completion(asked))), *decoder.finish()], last=True)
        return answering

    async def _meanwhile(self) -> None:
        rng, now = self.rng, self.clock.wall()
        if rng.random() < 0.02 and now < MIDNIGHT - 1:
            self.clock.advance(MIDNIGHT - now - rng.choice((0.0001, 0.001, 0.3)))
        else:
            self.clock.advance(rng.choice((0.0, 0.0007, 1.5, 20.0, 400.0)))
        if rng.random() < 0.05:
            self.activate()
        if rng.random() < 0.03:
            self._hear_of_a_campaign()
        known = self._flags.items(self.clock.wall())
        if known and rng.random() < 0.1:
            key, flag = rng.choice(known)
            # As another machine tells it, whose clock may be a little ahead.
            self._flags.hear_lift(key, Lifted(self.clock.wall() + rng.choice((0.0, 3.0)), flag.expires_at))
        elif known and rng.random() < 0.15:
            key, _ = rng.choice(known)
            self._flags.hear_confirmation(key, rng.choice(("ann", "bob")), self.clock.wall())
        if self._quotas is not None and rng.random() < 0.3:
            await self._quotas.returns.flush()
            await self._quotas.tend()

    def _hear_of_a_campaign(self) -> None:
        now = self.clock.wall()
        number = self.rng.randint(1, 2)
        accounts = frozenset(f"{tenant}-{self.rng.randint(0, 3)}" for tenant in ("acme", "bee"))
        prints = self._prints([()])[0].sample if number == 1 else self._prints_of_the_template()
        template = KnownTemplate(f"t-{number}", tuple(map(int, prints)), max(1, len(prints) // 2))
        known = KnownCampaign(
            f"c-{number}",
            "extraction",
            (template,) if len(prints) else (),
            accounts,
            opened_from=NOW - 1e6,
            opened_to=NOW,
            began=NOW,
            shared={},
            updated_at=now,
            until=now + 1e6,
        )
        self._campaigns.hear(known)
        for entry in self._decider.pack.campaigns:
            raise_flags(self._flags, known, entry, self.max_mode, now)

    def _prints_of_the_template(self) -> Any:
        dialect = DIALECTS["openai.chat"]
        prompt = {"model": "large", "messages": [{"role": "user", "content": TEMPLATE}]}
        return self._prints([list(dialect.texts(dialect.read(orjson.dumps(prompt))))])[0].sample
