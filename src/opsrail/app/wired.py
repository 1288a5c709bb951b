"""One installation, wired: `build` makes an App, `App.opened` connects it, `App.running` works.

A folder holds everything of one installation: `opsrail.db` (unless rows live in PostgreSQL), `ledger.key`,
`checkpoint.note`. Commands that only look or rule open the App; `run`, `serve` and `demo` also run it, and only
one process may do that on a folder with SQLite.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from opsrail.access.access import Access
from opsrail.app.durability import accepted_of
from opsrail.app.loops import Loops
from opsrail.app.notified import loops_of
from opsrail.app.pools import pools_of, runtime_options, shadow_pools
from opsrail.app.sampled import floors_of, sampler_of
from opsrail.app.sources import sources_of
from opsrail.cases.dispatcher import Dispatcher
from opsrail.cases.intake import Intake
from opsrail.cases.journal import Road
from opsrail.cases.loader import Definitions
from opsrail.cases.outbox import Outbox
from opsrail.cases.runner import Runner
from opsrail.cases.watchdog import Watchdog
from opsrail.cases.worker import Worker
from opsrail.clock import AgreedClock, Clock
from opsrail.config import CasesConfig, Config
from opsrail.connect.catalog import FACTORY, formats, page_reader
from opsrail.connect.catalog import runtimes as known_runtimes
from opsrail.connect.sql_rows import opened_query
from opsrail.decide.asking import AskLimits
from opsrail.decide.asks import LOW
from opsrail.decide.backlog import Limits
from opsrail.decide.code import code_digest
from opsrail.decide.decider import Decider
from opsrail.decide.explainer import Explainer
from opsrail.decide.held import declared_of
from opsrail.decide.outcomes import Outcomes
from opsrail.decide.shadow import Shadows
from opsrail.decide.shadow_store import ShadowStore
from opsrail.decide.threads import Threads
from opsrail.documents.reader import DocumentReader
from opsrail.errors import Conflict, LedgerBroken, Unavailable
from opsrail.features.features import Features
from opsrail.jobs.jobs import Jobs
from opsrail.ledger.anchor import Anchor, check_anchored
from opsrail.ledger.keys import Signer
from opsrail.ledger.sequencer import Sequencer
from opsrail.notices.sending import Notices, Sender
from opsrail.ports import ModelRuntime, Store
from opsrail.registry.card_book import CardBook
from opsrail.registry.changes import Changes
from opsrail.registry.describing import Describer
from opsrail.registry.importer import Importer
from opsrail.registry.prewarming import Prewarming
from opsrail.registry.registry import LOAD_S, Registry
from opsrail.registry.shelf import PATIENCE_S
from opsrail.review.clockwork import Clockwork
from opsrail.review.controls import Controls
from opsrail.review.desk import Desk
from opsrail.watch.alarms import Alarms
from opsrail.watch.entities import arm_key_of
from opsrail.watch.guarantees import Guarantees
from opsrail.watch.guard import Guard
from opsrail.watch.rollouts import Rollouts

log = logging.getLogger("opsrail.app")
DRAIN_S = 5.0
"""How long an orderly stop waits for actions that are being sent."""
LEADER_LEASE_S = 5.0
"""How long past its next tick a ledger leader that died holds the lead. Source: FAULTS F26, 5 s."""
HOLD_S = 1.0
"""How often an app that is held looks whether an operator acknowledged the ledger. Ours."""
LOADS_AT_ONCE = 8
"""Models that are loaded at the same time. Ours: each takes a processor; one that hangs keeps its place for good."""
NOTHING = Definitions({}, {}, (), ())


class App:
    """One installation, wired. Attributes are the trades' shells; doors call one of them and render.

    Attributes:
        definitions: What the author's files define; empty for commands that only look.
        is_running: Whether cases are carried by this process now.
        accepted: What the database promises less than it should, by name, which `store.allow_weak` accepted at the start.
        held: Why it waits for an operator and accepts no writes; None: it does not.
    """

    opened_query = staticmethod(opened_query)
    sender: Sender | None = None
    accepted: frozenset[str] = frozenset()

    def __init__(
        self,
        config: Config,
        definitions: Definitions,
        store: Store,
        signer: Signer,
        clock: Clock,
        *,
        anchor: Anchor | None,
        alone: bool,
        strict: bool = False,
        runtimes: Mapping[str, ModelRuntime] | None = None,
        runtimes_factory: str = FACTORY,
    ) -> None:
        self.config, self.definitions = config, definitions
        self.store, self.clock = store, AgreedClock(clock)
        self.signer, self.anchor = signer, anchor
        self.desk = Desk(store, self.clock, definitions.queues)
        self.controls = Controls(store, self.clock)
        self.outcomes, self.access = Outcomes(store, self.clock), Access(store, self.clock, config)
        self.is_running, self._alone = False, alone
        self.held: LedgerBroken | None = None
        self._loops = Loops()
        if runtimes is None:
            runtimes = known_runtimes(
                **runtime_options(config),
                functions={model.digest: model.function for model in definitions.models},
            )
        self._wire_models(runtimes, runtimes_factory)
        self._wire_decisions()
        declared, most = declared_of(definitions.points), config.changes.direct_up_to
        self.changes = Changes(store, self.registry, self.clock, declared, direct_up_to=most)
        self.rollouts = Rollouts(store, self.registry, self.clock, self.changes.direct)
        self.alarms, self.guarantees = Alarms(store, self.clock), Guarantees(store, self.clock)
        self.notices = Notices(store, self.clock)
        self.sampler = sampler_of(config, definitions, store, self.clock)
        self._wire_cases(config.cases, strict=strict)

    def _wire_models(self, runtimes: Mapping[str, ModelRuntime], factory: str) -> None:
        store, clock, config = self.store, self.clock, self.config
        self._loading = Threads(
            "load models", LOADS_AT_ONCE
        )  # one may hang: no end waits for these
        self.registry = Registry(
            store,
            runtimes,
            clock,
            pools=pools_of(config, runtimes, factory, clock),
            executor=self._loading,
            keeps_retired=[
                point.name
                for point in self.definitions.points.values()
                if "retired" in point.stand_ins
            ],
        )
        self.cards = CardBook(store, clock)
        self.describer = Describer(store, self.registry, self.cards)
        self.importer = Importer(formats(config.models.trusted), self.registry)
        self.shadows = Shadows(
            ShadowStore(store),
            self.registry,
            shadow_pools(ShadowStore(store), config, runtimes, factory, clock),
            clock,
            Limits(**config.shadow.model_dump(), max_batch=config.decide.max_batch),
            is_full=lambda: self.decider.admission.is_full(LOW),
        )

    def _wire_decisions(self) -> None:
        store, clock, config = self.store, self.clock, self.config
        decide = config.decide
        self.features = Features(
            store,
            self.definitions.views,
            clock,
            refresh_ms=decide.feature_refresh_ms,
            visible_after_ms=config.facts_visible_after_ms,
            sources=sources_of(self.definitions.views, clock),
        )
        self.decider = Decider(
            store,
            self.registry,
            self.features,
            clock,
            cache_bytes=decide.cache_bytes,
            max_batch=decide.max_batch,
            limits=AskLimits(rows_in_flight=decide.rows_in_flight, retry_ratio=decide.retry_ratio),
            idempotency_ttl_s=decide.idempotency_ttl_s,
            group_wait_s=decide.group_wait_ms / 1000,
            most_pending=decide.records_waiting,
            shadow=self.shadows,
        )
        self.explainer = Explainer(self.registry, clock, self.features, budget_ms=decide.explain_ms)
        documents = config.documents
        folder = Path(documents.folder) if documents.folder else None
        self.documents = DocumentReader(
            page_reader, clock, timeout_s=documents.timeout_s, folder=folder
        )

    def _wire_cases(self, config: CasesConfig, *, strict: bool) -> None:
        store, clock, automations = self.store, self.clock, self.definitions.automations
        self.threads = ThreadPoolExecutor(config.threads, thread_name_prefix="opsrail-step")
        self.worker = Worker(store, clock, dead_s=config.dead_s, agree=self.clock.agree)
        self.guard = Guard(
            store,
            self.registry,
            clock,
            lambda: self.worker.id,
            **dict(self.config.watch),
            changes=self.changes,
            arm_key=arm_key_of(self.definitions.points),
            floors=floors_of(self.definitions.points.values()),
        )
        own = (self.decider, self.documents, self.threads, self.worker.fence)
        road = Road(store, clock, *own, strict, self.definitions.queues)
        self.runner = Runner(road, self.worker, automations, at_once=config.at_once)
        self.dispatcher = Dispatcher(
            store,
            clock,
            self.worker,
            self.runner,
            automations,
            alone=self._alone,
            poll_s=config.poll_s,
        )
        self.outbox = Outbox(
            store, clock, self.worker, automations, self.threads, poll_s=config.poll_s
        )
        self.jobs = Jobs(store, clock, lambda: self.worker.id, self.worker.fence)
        self.intake = Intake(
            store,
            clock,
            automations,
            worker=self.worker,
            runner=self.runner,
            backlog=config.backlog,
        )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[App]:
        """Connect while the block runs.

        Raises:
            SchemaMismatch, StoreUnavailable, DataDirInUse: see `ports.Store.open`. Nothing was changed.
        """
        try:
            await self.store.open()
            yield self
        finally:
            await self.decider.drain()
            self.decider.close()
            await self.shadows.close()
            self.explainer.close()
            await self.registry.close()
            self._loading.shutdown()
            await self.documents.close()
            await self.features.close()
            await self.store.close()
            self.threads.shutdown(wait=False, cancel_futures=True)

    @asynccontextmanager
    async def running(self, *, waits: bool = False) -> AsyncIterator[App]:
        """Carry cases, send actions and sequence the ledger while the block runs; ends in order.

        Args:
            waits: As a server does. A ledger that was rolled back or rewritten is not refused: this app is `held` until an
                operator has acknowledged it, then begins; whoever serves it must accept no writes meanwhile. Models that
                take long to load are loaded beside the work, where requests fall back; otherwise they are waited for.

        Raises:
            LedgerBroken: the database is not the one whose checkpoint is kept outside it. Terminal: `opsrail ledger
                acknowledge`.
            WeakDurability: the database loses commits. Terminal: mend what is listed, or set `store.allow_weak`.
        """
        async with self.opened():
            self.accepted = accepted_of(await self.store.check(), self.config.store.allow_weak)
            try:
                await self._check_ledger()
            except LedgerBroken as broken:
                if not waits:
                    raise
                self._hold(broken)
            else:
                await self._begin(PATIENCE_S if waits else LOAD_S)
            try:
                yield self
            finally:
                await self._end()

    async def _begin(self, warm_s: float) -> None:
        """Come alive and start the loops, after so long at most for the models."""
        await self.features.keep_definitions(code_digest)
        await self.desk.keep_queues()
        await self.worker.register()
        await self.worker.bury(alone=self._alone)
        await self.registry.warm(warm_s)
        watchdog = Watchdog(
            self.definitions.files,
            self.runner.blocked,
            limit_s=self.config.cases.blocked_loop_s,
        )
        interval_s, poll_s = self.config.ledger.checkpoint_s, self.config.cases.poll_s
        self.sequencer = Sequencer(
            self.store,
            self.signer,
            self.clock,
            self.worker.id,
            anchor=self.anchor,
            lease_ms=round(1000 * (interval_s + LEADER_LEASE_S)),
            interval_s=interval_s,
        )
        loops = {
            "cases": self.dispatcher.run,
            "heartbeat": self.dispatcher.beat,
            "outbox": self.outbox.run,
            "ledger": self.sequencer.run,
            "watchdog": watchdog.run,
            "guard": self.guard.run,
            "reviews": Clockwork(self.store, self.clock, self.desk, poll_s=poll_s).run,
        }
        if self.jobs.order is not None:  # else no other process could open this installation
            loops["jobs"] = self.jobs.run
        if any(pool.devices > pool.warm for pool in self.config.pools.values()):
            loops["prewarming"] = Prewarming(self.registry.pools, self.clock).run
        self.sender, more = loops_of(self.config, self.sampler, self.store, self.clock)
        for name, loop in (loops | more).items():
            self._loops.start(name, loop)
        self.is_running = True

    def _hold(self, broken: LedgerBroken) -> None:
        log.error("nothing is written until an operator has looked at it: %s", broken)
        self.held = broken
        self._loops.start("hold", self._await_acknowledgement)

    async def _await_acknowledgement(self) -> None:
        """Begin as soon as the ledger and its external checkpoint agree."""
        while self.held is not None:
            await self.clock.sleep(HOLD_S)
            try:
                await self._check_ledger()
                await self._begin(PATIENCE_S)
                self.held = None
                log.info("the ledger was acknowledged; work goes on")
            except LedgerBroken as broken:
                self.held = broken
            except (Unavailable, Conflict) as down:
                log.warning("whether the ledger was acknowledged is not known: %s", down)

    async def settle_ledger(self) -> None:
        """Give every committed entry its place and sign a checkpoint over all of them."""
        while await self.sequencer.tick():
            pass

    async def crash(self) -> None:
        """Drop everything in memory as a dying process would; nothing is given back (tests)."""
        self._loops.cancel()
        await self.runner.drop()
        await self._loops.stop()

    @property
    def broken(self) -> BaseException | None:
        """What ended one of the loops for good, if anything; `/readyz` and the command's exit status show it."""
        return self._loops.broken

    async def _end(self) -> None:
        was_running, self.is_running = self.is_running, False
        if not was_running or not self._loops:
            return await self._loops.stop()
        # Nothing more is claimed; the heartbeat goes on, so that nobody takes over what is being sent.
        self._loops.cancel("cases")
        await self.runner.drop()
        with suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                await self.outbox.drain()
        await self._loops.stop()
        await self.runner.stop()
        with suppress(Exception):
            await self.settle_ledger()
            await self.sequencer.resign()

    async def _check_ledger(self) -> None:
        """Refuse a database that was rolled back or rewritten."""
        if self.anchor is not None:
            note = await asyncio.to_thread(self.anchor.read)
            await check_anchored(self.store, self.signer.verifiers, note)
