"""Metrics for Prometheus: the API's own, and the monitor's figures as it stored them (monitor/services/vitals.py)."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.centre import CentreState
from monitor.adapters.vital_figures import VitalFigures
from monitor.domain.fault import FaultKind
from monitor.domain.incident import IncidentKind, Severity

_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
#: The monitor's histograms: key, name, what it says.
_HISTOGRAMS = (
    ("device_lag_s", "tiwei_device_lag_seconds", "From the device's corrected time to commit, samples of the present"),
    ("receipt_lag_s", "tiwei_receipt_lag_seconds", "From receipt to commit"),
    ("batch_messages", "tiwei_batch_messages", "Messages of a batch"),
    ("commit_s", "tiwei_commit_duration_seconds", "From handing a batch to the database to its commit"),
)
#: Its gauges.
_GAUGES = {
    "waiting_messages": ("tiwei_waiting_messages", "Messages received and not yet in a batch"),
    "held_messages": ("tiwei_held_messages", "Messages received and not yet acknowledged"),
    "hearing": ("tiwei_hearing", "1 while telemetry reaches the monitor"),
    "equipment": ("tiwei_equipment", "Equipment known"),
    "unregistered": ("tiwei_equipment_unregistered", "Equipment that no register knows"),
    "silent": ("tiwei_equipment_silent", "Equipment of which no sample is believed now"),
    "clock_offset_median_s": ("tiwei_clock_offset_median_seconds", "Of receipt minus ts, absolute, last minute"),
    "clock_offset_max_s": ("tiwei_clock_offset_max_seconds", "Of receipt minus ts, absolute, last minute"),
    "checkpoint_age_s": ("tiwei_checkpoint_age_seconds", "Since the detectors' state was last stored"),
    "shown_waiting": ("tiwei_latest_waiting", "Equipment whose change of state is not yet shown"),
    "shown_lag_s": ("tiwei_latest_lag_seconds", "How long the oldest of them has been waiting"),
    "shown_flush_s": ("tiwei_latest_flush_seconds", "What the last write of the latest state took"),
}


class ApiMetrics:
    """Counts what this process does; one registry for each app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "tiwei_api_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "tiwei_api_request_duration_seconds",
            "From a request to the beginning of its answer",
            ("method", "route"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

    def answered(self, method: str, route: str, status: int, took_s: float) -> None:
        """A request was answered."""
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(took_s)


class CountRequests:
    """Counts every request by the template of its route, never by its path."""

    def __init__(self, app: ASGIApp, *, metrics: ApiMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path_format", "none")
                # A word nobody knows must not become a label.
                method = scope["method"] if route != "none" else "any"
                self._metrics.answered(method, route, message["status"], time.perf_counter() - began)
            await send(message)

        await self._app(scope, receive, sending)


def exposition(metrics: ApiMetrics, centre: CentreState, listeners: int, position: int, found: VitalFigures) -> bytes:
    """Everything in Prometheus' text format."""
    whole = CollectorRegistry(auto_describe=False)
    whole.register(_Given([*_without_births(metrics.registry), *_live(centre, listeners, position), *_open(found)]))
    whole.register(_Given(_monitor(found)))
    return generate_latest(whole)


def _without_births(registry: CollectorRegistry) -> Iterator[Metric]:
    """What was collected, without a second series for each that only says when it began."""
    for family in registry.collect():
        family.samples = [one for one in family.samples if not one.name.endswith("_created")]
        yield family


class _Given:
    """A collector of what was collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """It."""
        return self._families


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, says, value=value)


def _live(centre: CentreState, listeners: int, position: int) -> Iterator[Metric]:
    yield _gauge("tiwei_monitor_up", "1 while a monitor is at work, seen from the API", float(centre.monitor_up))
    yield _gauge("tiwei_database_up", "1 while the database answers the API", float(centre.database_up))
    yield _gauge("tiwei_api_live_clients", "WebSocket clients", listeners)
    yield _gauge("tiwei_api_feed_position", "Position of the change feed that the API has told", position)


def _open(found: VitalFigures) -> Iterator[Metric]:
    yield _gauge("tiwei_feed_position", "Position of the last committed change", found.position)
    faults = GaugeMetricFamily("tiwei_open_faults", "Open faults", labels=("kind",))
    for kind in sorted({one.value for one in FaultKind} | set(found.faults)):
        faults.add_metric((kind,), found.faults.get(kind, 0))
    yield faults
    incidents = GaugeMetricFamily("tiwei_open_incidents", "Open incidents", labels=("kind", "severity"))
    for kind in IncidentKind:
        for severity in Severity:
            incidents.add_metric((kind.value, severity.name.lower()), found.incidents.get((kind.value, severity), 0))
    yield incidents


def _monitor(found: VitalFigures) -> Iterator[Metric]:
    body = found.body
    if body is None or found.at_ms is None:
        return
    yield _gauge("tiwei_monitor_figures_timestamp_seconds", "When the monitor wrote its figures", found.at_ms / 1000)
    yield _gauge("tiwei_monitor_start_timestamp_seconds", "When the monitor began", body["started_at"] / 1000)
    for name, value in body["counters"].items():
        yield CounterMetricFamily(f"tiwei_{name}", f"Since the monitor began: {name}", value=value)
    for name, label in (("quarantined", "reason"), ("faults_raised", "kind"), ("faults_cleared", "kind")):
        yield _counted(f"tiwei_{name}", label, body[name])
    for key, name, says in _HISTOGRAMS:
        if (histogram := body["histograms"].get(key)) is not None:
            yield _histogram(name, says, histogram)
    for key, value in body["gauges"].items():
        name, says = _GAUGES.get(key, (f"tiwei_{key}", key))
        if value is not None:
            yield _gauge(name, says, value)


def _counted(name: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, f"Since the monitor began, by {label}", labels=(label,))
    for one, value in sorted(counts.items()):
        family.add_metric((one,), value)
    return family


def _histogram(name: str, says: str, body: Mapping[str, Any]) -> Metric:
    bounds = [*(f"{one:g}" for one in body["le"]), "+Inf"]
    counts = accumulate(body["counts"])
    return HistogramMetricFamily(
        name, says, buckets=[(bound, float(n)) for bound, n in zip(bounds, counts, strict=True)], sum_value=body["sum"]
    )
