"""The parts of a monitor joined: broker, detectors, database."""

from __future__ import annotations

import asyncio
import gc
import ssl
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import structlog

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.latest import Latest
from monitor.adapters.mqtt import Bounds, Delivery, MqttSource
from monitor.adapters.mqtt_connection import Broker, tls_context
from monitor.adapters.pool import Database
from monitor.adapters.quarantine import Quarantine, QuarantineBounds
from monitor.adapters.registry import Registry
from monitor.adapters.retry import until_reached, without_password
from monitor.adapters.store import ZONE, PostgresStore
from monitor.commands._apart import ApartStore
from monitor.commands._upkeep import keep_up
from monitor.detectors.engine import Engine
from monitor.detectors.thresholds import Thresholds
from monitor.domain.commit import Checkpoint, Commit, Restored
from monitor.domain.equipment import Equipment
from monitor.domain.errors import RefusedError, SettingsError, UnavailableError
from monitor.messages.decode import Inbound
from monitor.messages.profiles import Profiles, builtin, load
from monitor.services.ingest import Ingest
from monitor.services.ingest_ports import Pace
from monitor.services.judging import Plan
from monitor.services.showing import Showing, keep_shown
from monitor.services.witness import Witness, keep_figures
from monitor.settings import Settings

#: How long the end may take, s: the commit under way and a checkpoint.
STOP_S = 6.0
#: A sign of life younger than this: a monitor may have been connected until a moment ago, s.
JUST_NOW_S = 60.0
#: The wall clock behind the last sign of life by more than this deserves a person's look, s.
CLOCK_BACK_S = 300.0
_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}

_log = structlog.get_logger(__name__)


class SteadyClock:
    """Wall time at the start, and from there on the monotonic clock: no step of the wall clock reaches the rules."""

    def __init__(self) -> None:
        self._offset_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000

    def __call__(self) -> int:
        """Now, ms since 1970 UTC."""
        return time.monotonic_ns() // 1_000_000 + self._offset_ms


class MonitorStore:
    """What ingest needs of the database, from the adapters that own its tables."""

    def __init__(self, database: Database, *, bounds: QuarantineBounds, zone: ZoneInfo = ZONE) -> None:
        self._database = database
        self._store = PostgresStore(database, bounds=bounds, zone=zone)
        self._registry = Registry(database)
        self._quarantine = Quarantine(database)
        self._revision = 0

    async def acquire(self) -> None:
        """Become the one monitor of this database; waits while there is another."""
        await self._store.acquire()

    async def load(self, now_ms: int) -> Restored:
        # Asked before, so that a change between the two is seen twice and never not at all.
        self._revision = await self._registry.revision()
        return await self._store.load(now_ms)

    async def commit(self, commit: Commit) -> None:
        await self._store.commit(commit)

    async def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        await self._store.save_checkpoint(checkpoint)

    async def changed_equipment(self) -> Sequence[Equipment]:
        self._revision, changed = await self._registry.changed_since(self._revision)
        return changed

    async def requested(self, limit: int) -> Sequence[tuple[int, Inbound]]:
        found = await self._quarantine.requested(limit)
        return [(one.quarantine_id, Inbound(one.topic, one.payload, one.received_ms)) for one in found]

    async def mark_resubmitted(self, ids: Sequence[int]) -> None:
        await self._quarantine.mark_resubmitted(ids)

    async def close(self) -> None:
        await self._store.close()
        await self._database.close()


async def run_monitor(
    settings: Settings, clock: Callable[[], int] | None = None, on_ready: Callable[[], None] = lambda: None
) -> None:
    """A monitor at work until it is cancelled; then it ends in good order, within STOP_S.

    `on_ready` is called once, when the broker holds its subscriptions: what is published from then on is heard.

    Raises:
        SettingsError: no database or no broker is given, or a file of theirs is wrong.
        RefusedError: another monitor took over, or the broker or the database denies what we need.
    """
    now = clock or SteadyClock()
    database = Database(
        _needed(settings.database_dsn(), "database"), application="tiwei monitor", connections=settings.database_pool
    )
    source = MqttSource(broker_of(settings), now, bounds_of(settings))
    bounds = QuarantineBounds(messages=settings.quarantine_rows)
    # Of its own, because a connection belongs to the event loop that made it.
    behind = Database(database.url, application="tiwei monitor", connections=settings.database_pool)
    store = ApartStore(MonitorStore(behind, bounds=bounds, zone=settings.zone))
    latest = Latest(database)
    witness = Witness(Showing(thresholds_of(settings)), now())
    try:
        _log.info("waiting for the database, and for another monitor on it to end")
        await until_reached("database", without_password(database.url), store.acquire)
        ingest = Ingest(
            source=source, store=store, plan=plan_of(settings), clock=now, pace=pace_of(settings), witness=witness
        )
        await _take_over(ingest, witness, latest, database, now)
        if ingest.last_alive_ms is not None and now() - ingest.last_alive_ms < JUST_NOW_S * 1000:
            source.left_just_now()
        _tune_collector()
        beside = {
            "upkeep": keep_up(database, settings),
            "ready": _tell_ready(source, on_ready),
            "latest": keep_shown(witness.showing, latest, now),
            "figures": keep_figures(witness, latest, source, lambda: ingest.checkpoint_age_s, now),
        }
        async with _running(beside):
            await _work(source, ingest)
    finally:
        for part in (latest, store):
            with suppress(UnavailableError, RefusedError):
                await part.close()
        await database.close()


@asynccontextmanager
async def _running(beside: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Tasks that go on meanwhile and are cancelled at the end; what becomes of them stops nothing."""
    tasks = [asyncio.create_task(work, name=name) for name, work in beside.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _take_over(
    ingest: Ingest[Delivery], witness: Witness, latest: Latest, database: Database, now: Callable[[], int]
) -> None:
    """Go on where the monitor before this one stood."""
    await ingest.recover()
    rows, quantities = await until_reached("database", without_password(database.url), latest.load)
    witness.showing.restore(rows, quantities, now())
    _compare_clocks(now(), ingest.last_alive_ms)


async def _work(source: MqttSource, ingest: Ingest[Delivery]) -> None:
    """Both stages until one of them fails, which ends the process, or we are cancelled."""
    hearing = asyncio.create_task(source.run(), name="mqtt")
    line = asyncio.create_task(ingest.run(), name="ingest")
    try:
        done, _ = await asyncio.wait((hearing, line), return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        ingest.stop()
        await asyncio.wait((line,), timeout=STOP_S)
        for task in (line, hearing):
            task.cancel()
        await asyncio.gather(line, hearing, return_exceptions=True)


async def _tell_ready(source: MqttSource, on_ready: Callable[[], None]) -> None:
    await source.subscribed()
    on_ready()


def _compare_clocks(now_ms: int, last_alive_ms: int | None) -> None:
    if last_alive_ms is not None and last_alive_ms - now_ms > CLOCK_BACK_S * 1000:
        _log.error(
            "the clock of this machine is behind the last sign of life: nothing that falls due by it will be noticed"
            " until it has caught up; set it right and start again",
            behind_s=(last_alive_ms - now_ms) // 1000,
        )


def _tune_collector() -> None:
    """Batches leave no cycles behind: look for some seldom, and never again at the state that is there now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)


def plan_of(settings: Settings) -> Plan:
    """The detectors and the decoder as set. Raises SettingsError."""
    thresholds = thresholds_of(settings)
    return Plan(
        new_engine=lambda: Engine((), thresholds),
        profiles=_profiles(settings),
        unregistered_limit=settings.unregistered_limit,
    )


def thresholds_of(settings: Settings) -> Thresholds:
    """The thresholds of protocol §7 as set. Raises SettingsError."""
    try:
        return Thresholds().overridden(settings.thresholds)
    except KeyError as error:
        raise SettingsError(f"TIWEI_THRESHOLDS: {error} is no threshold") from error


def _profiles(settings: Settings) -> Profiles:
    """The built-in profiles and those of the file, which win."""
    if settings.profiles_file is None:
        return builtin()
    try:
        text = settings.profiles_file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"TIWEI_PROFILES_FILE: {error}") from error
    return {**builtin(), **load(text)}


def pace_of(settings: Settings) -> Pace:
    """The line's measures as set."""
    return Pace(
        messages=settings.batch_messages,
        gather_s=settings.batch_ms / 1000,
        checkpoint_s=settings.checkpoint_s,
        patience_s=0.8 * settings.mqtt_ack_wait_s,
    )


def bounds_of(settings: Settings) -> Bounds:
    """What may be held unacknowledged as set."""
    return Bounds(messages=settings.mqtt_in_flight, redelivery_s=settings.mqtt_ack_wait_s)


def broker_of(settings: Settings) -> Broker:
    """Where the broker is and who we are there. Raises SettingsError."""
    parts = urlsplit(_needed(settings.mqtt_dsn(), "broker"))
    secure = parts.scheme == "mqtts"
    client_id = settings.mqtt_client_id
    session_id = client_id.get_secret_value() if client_id else DataFolder(settings.data_dir).secret("client_id")
    return Broker(
        host=parts.hostname or "127.0.0.1",
        port=parts.port or _DEFAULT_PORTS[parts.scheme],
        session_id=session_id,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        tls=_tls(settings) if secure else None,
    )


def _tls(settings: Settings) -> ssl.SSLContext:
    return tls_context(
        settings.mqtt_ca_file, settings.mqtt_cert_file, settings.mqtt_key_file, settings.mqtt_pinned_cert_file
    )


def _needed(url: str | None, what: str) -> str:
    if url is None:
        raise SettingsError(
            f"no {what} is given: TIWEI_{'DATABASE' if what == 'database' else 'MQTT'}_URL, or `tiwei up`"
        )
    return url
