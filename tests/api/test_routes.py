"""Lists, filters, pages, histories, reports, imports; and input that nobody should send."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from api.routes.registry import OCTETS
from monitor.adapters.latest import Latest
from monitor.domain.access import Role, Scope
from monitor.domain.commit import Commit
from monitor.domain.fault import FaultKind
from monitor.messages.samples import absent_rows
from tests.adapters.casework import raised
from tests.adapters.test_latest import flush
from tests.api.served import WHOLE, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOUR_MS = 3_600_000


async def ids(api: Served, path: str) -> list[str]:
    return [one["equipment_id"] for one in (await api.got(path))["items"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", "LIFT-1 LIFT-2 LIFT-3 BOILER-4"),
        ("?kind=boiler", "BOILER-4"),
        ("?division=310000", "LIFT-2 LIFT-3 BOILER-4"),
        ("?division=310104", "LIFT-3 BOILER-4"),
        ("?firm=F1", "LIFT-1 LIFT-3"),
        ("?q=lift-2", "LIFT-2"),
        ("?q=000003", "LIFT-3"),
        ("?q=1 main", "LIFT-1"),
        ("?q=%25", ""),
        ("?q=%00", ""),
        ("?kind=lift&division=310000&firm=F1", "LIFT-3"),
    ],
)
async def test_equipment_is_found(api: Served, query: str, found: str) -> None:
    assert await ids(api, f"equipment{query}") == found.split()


async def test_one_equipment_has_its_state_and_what_is_open(api: Served) -> None:
    latest = Latest(api.database)
    await latest.show(flush([2, 3], service_mode=1, car_status=[1, 0], passenger=1, flags=[0, 128], speed_mps=1.6))
    await latest.close()
    one = await api.got("equipment/LIFT-2")
    assert (one["rescue_code"], one["place"], one["limits"]) == ("000002", {"address": "2 Main Street"}, [])
    assert (one["state"]["silent"], one["state"]["car_status"], one["state"]["speed_mps"]) == (False, 1, 1.6)
    assert (one["state"]["door_zone"], one["state"]["quantities"]) == (None, None)
    assert [fault["kind"] for fault in one["open_faults"]] == ["offline"]
    assert (await api.got("equipment/LIFT-3"))["state"]["silent"] is True
    assert (await api.got("equipment/LIFT-1"))["state"] is None
    fleet = await api.got("fleet")
    counts = {"total": 4, "never_heard": 2, "silent": 1, "moving": 1, "occupied": 1, "offline": 1, "unregistered": 0}
    assert {name: fleet[name] for name in counts} == counts
    assert (fleet["by_mode"]["1"], fleet["with_open_faults"], fleet["open_incidents"]["critical"]) == (1, 2, 1)


async def test_a_history_is_paged_in_its_order_without_one_missing_or_twice(api: Served) -> None:
    assert api.centre is not None
    now = api.clock()
    rows = absent_rows(50)
    for n, row in enumerate(rows):
        row["number"], row["received_ms"] = 1, now
        row["time_ms"] = now - 10_000 + 100 * (n // 5)  # five of one instant, told apart by seq
        row["ts"], row["seq"], row["car_position"] = row["time_ms"], n, n
    api.centre.position += 1
    await api.centre.store.commit(Commit(position=api.centre.position, journal=b"", readings=rows))
    path, found, cursor = "equipment/LIFT-1/history?limit=7", [], ""
    while cursor is not None:
        page = await api.got(f"{path}{cursor and '&cursor=' + cursor}")
        found += [one["seq"] for one in page["items"]]
        cursor = page["next"]
    assert found == list(range(50))
    begin, end = f"{page['items'][0]['sampled_at']}", "2100-01-01T00:00:00%2B08:00"
    assert (await api.ask(f"equipment/LIFT-1/history?from={begin}&to={end}")).status_code == 422
    inside = await api.got(f"equipment/LIFT-1/history?from={begin}&limit=5000")
    assert [one["seq"] for one in inside["items"]] == [45, 46, 47, 48, 49]
    assert (await api.got("equipment/BOILER-4/history"))["items"] == []


async def test_faults_and_incidents_are_paged_and_filtered(api: Served) -> None:
    assert api.centre is not None
    for n in range(6):
        await api.centre.batch(raised(FaultKind.CAR_ALARM_BUTTON, 60_000 + n, number=3))
    pages, cursor = [], ""
    while cursor is not None:
        page = await api.got(f"faults?limit=3&equipment_id=LIFT-3{cursor and '&cursor=' + quote(cursor)}")
        pages.append([one["kind"] for one in page["items"]])
        cursor = page["next"]
    assert pages == [["car_alarm_button"] * 3] * 2
    assert {one["kind"] for one in (await api.got("faults?open=true"))["items"]} == {"entrapment", "offline"}
    assert {one["kind"] for one in (await api.got("faults?open=false"))["items"]} == {"car_alarm_button"}
    assert len((await api.got("faults?kind=offline&division=310000"))["items"]) == 1
    assert len((await api.got("faults?to=2020-01-01T00:00:00Z"))["items"]) == 0
    for begin, end in (("2020-01-01", "2019-12-31"), ("1577808000000", "1577807999999")):  # the centre's days, and ms
        assert len((await api.got(f"faults?from={begin}"))["items"]) > 0
        assert len((await api.got(f"faults?to={end}"))["items"]) == 0
    assert await ids(api, "incidents") == ["LIFT-3", "LIFT-1"]
    assert await ids(api, "incidents?limit=1") == ["LIFT-3"]
    following = (await api.got("incidents?limit=1"))["next"]
    assert await ids(api, f"incidents?limit=1&cursor={following}") == ["LIFT-1"]
    assert await ids(api, "incidents?status=REPORTED&status=CLOSED&division=320000&open=true") == ["LIFT-1"]
    assert await ids(api, "incidents?status=CLOSED") == []
    detail = await api.got(f"incidents/{(await api.got('incidents'))['items'][1]['incident_id']}")
    assert [entry["place"] for entry in detail["timeline"]] == [1]


@pytest.mark.parametrize(
    ("period", "begin", "end"),
    [
        ("2026", "2026-01-01T00:00:00+08:00", "2027-01-01T00:00:00+08:00"),
        ("2026-02", "2026-02-01T00:00:00+08:00", "2026-03-01T00:00:00+08:00"),
        ("2026-12-31", "2026-12-31T00:00:00+08:00", "2027-01-01T00:00:00+08:00"),
        ("2026-11-01..2026-11-23", "2026-11-01T00:00:00+08:00", "2026-11-24T00:00:00+08:00"),
        ("2026-11-01T00:00:00Z..2026-11-02", "2026-11-01T08:00:00+08:00", "2026-11-03T00:00:00+08:00"),
    ],
)
async def test_a_report_of_a_period(api: Served, period: str, begin: str, end: str) -> None:
    report = await api.got(f"reports/{period}", Role.REGULATOR)
    assert report["period"] == {"from": begin, "to": end, "division": None}
    assert [one["equipment_id"] for one in report["equipment"]] == ["BOILER-4", "LIFT-1", "LIFT-2", "LIFT-3"]


@pytest.mark.parametrize("period", ["0000", "2026-13", "2026-2", "yesterday", "2026-11-02..2026-11-01", "x..", "9999"])
async def test_what_is_no_period_is_told(api: Served, period: str) -> None:
    answer = await api.ask(f"reports/{period}")
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:tiwei:problem:invalid-period")


NEW = {"equipment_id": "NEW-1", "division": "310104", "kind": "lift", "firm_id": "F1", "rescue_code": "700001"}


def as_csv(*entries: dict[str, Any]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(entries[0]))
    writer.writeheader()
    writer.writerows(entries)
    return text.getvalue().encode()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps([NEW]).encode()),
        ("application/json; charset=utf-8", json.dumps({"registry": [NEW]}).encode()),
        ("application/x-ndjson", json.dumps(NEW).encode() + b"\n"),
        ("text/csv", as_csv(NEW)),
    ],
)
async def test_a_registry_is_imported_and_told(api: Served, kind: str, body: bytes) -> None:
    answer = await api.ask("registry/import", method="POST", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()) == (200, {"imported": 1})
    assert (await api.got("equipment/NEW-1"))["rescue_code"] == "700001"
    (line, *_) = (await api.got("audit?action=registry_import"))["items"]
    assert line["detail"]["equipment"] == 1


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/xml", b"<a/>", 415),
        ("application/json", b"[", 422),
        ("application/json", b'[{"equipment_id": "X"}]', 422),
        ("application/json", b"[" * 100_000, 422),
        ("text/csv", b"\xff\xfe\x00", 422),
        ("application/json", b" " * (OCTETS + 1), 413),
    ],
)
async def test_a_registry_that_cannot_be_is_refused(api: Served, kind: str, body: bytes, status: int) -> None:
    answer = await api.ask("registry/import", method="POST", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("entry", [NEW | {"division": "320500"}, NEW | {"equipment_id": "LIFT-1"}])
async def test_an_import_reaches_no_further_than_its_scope(api: Served, entry: dict[str, Any]) -> None:
    before = (await api.got(f"equipment/{'LIFT-1'}"))["division"]
    answer = await api.ask("registry/import", Role.ADMINISTRATOR, Scope(division="310000"), method="POST", json=[entry])
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:tiwei:problem:out-of-scope")
    assert (await api.got("equipment/LIFT-1"))["division"] == before
    inside = await api.ask("registry/import", Role.ADMINISTRATOR, Scope(division="310000"), method="POST", json=[NEW])
    assert inside.status_code == 200


ODD = (
    "%00",
    "..%2F..%2Fetc%2Fpasswd",
    "%F0%9F%9B%97",
    "9" * 400,
    "%27%3B DROP TABLE",
    "-1",
    "1e309",
    "null",
    "%ED%A0%80",
)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize(
    "path",
    [
        "equipment/{}",
        "equipment/{}/history",
        "equipment?cursor={}",
        "equipment?q={}",
        "equipment?firm={}",
        "equipment?division={}",
        "equipment?limit={}",
        "faults?cursor={}",
        "faults?equipment_id={}",
        "faults?from={}",
        "incidents?cursor={}",
        "incidents?status={}",
        "incidents/{}",
        "reports/{}",
        "audit?cursor={}",
        "audit?actor={}",
        "/assets/{}",
        "/{}",
    ],
)
async def test_odd_input_is_the_callers_fault(api: Served, path: str, odd: str) -> None:
    answer = await api.ask(path.format(odd))
    assert answer.status_code in {200, 404, 422}, answer.text
    if answer.status_code != 200:
        assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("key", [[2**70], ["x"], [True], [1.5], [[1]], {}, [], [1, 2, 3, 4], [-(2**63)]])
async def test_a_cursor_of_somebody_elses_making_is_refused_or_harmless(api: Served, key: Any) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")
    for path in ("equipment", "faults", "incidents", "audit", "equipment/LIFT-1/history"):
        assert (await api.ask(f"{path}?cursor={cursor}")).status_code in {200, 422}


async def test_every_error_is_a_problem(api: Served) -> None:
    wrong = [
        await api.ask("nowhere"),
        await api.ask("fleet", method="PUT"),
        await api.ask("session", None, method="POST", content=b"{", headers={"Content-Type": "application/json"}),
        await api.ask("session", None, method="POST", json={"name": "a", "password": "secret-word", "more": 1}),
        await api.ask("session", None, method="POST", json={"name": "a" * 70_000, "password": "b"}),
        await api.ask("equipment?limit=0"),
    ]
    assert [answer.status_code for answer in wrong] == [404, 405, 422, 422, 413, 422]
    for answer in wrong:
        assert answer.headers["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= set(answer.json())
        assert answer.json()["status"] == answer.status_code
        assert "secret-word" not in answer.text
    assert "allow" in wrong[1].headers


async def test_a_body_without_a_length_is_bounded_too(api: Served) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 8_192

    answer = await api.ask(
        "session", None, method="POST", content=pieces(), headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


async def test_headers_keep_pages_and_answers_to_themselves(api: Served) -> None:
    for answer in (await api.ask("fleet"), await api.ask("/sign-in", None), await api.ask("nowhere", None)):
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await api.ask("fleet")).headers["cache-control"] == "no-store"


async def test_the_consoles_files_are_served_from_their_folder_alone(api: Served) -> None:
    first = await api.ask("/assets/vendor/preact.js", Role.REGULATOR)
    assert (first.status_code, first.headers["content-type"]) == (200, "text/javascript; charset=utf-8")
    again = await api.ask("/assets/vendor/preact.js", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    for path in ("/assets/%2e%2e/app.py", "/assets/../app.py", "/assets//etc/passwd", "/assets/vendor", "/assets/"):
        assert (await api.ask(path)).status_code == 404


async def test_metrics_are_what_prometheus_reads(api: Served) -> None:
    figures = {
        "started_at": api.clock(),
        "counters": {"messages": 7},
        "quarantined": {"json": 2},
        "faults_raised": {"entrapment": 1},
        "faults_cleared": {},
        "histograms": {"receipt_lag_s": {"le": [0.1, 1.0], "counts": [3, 2, 1], "sum": 4.5}},
        "gauges": {"held_messages": 3, "checkpoint_age_s": None, "something_new": 1},
    }
    await Latest(api.database).store_figures(figures, api.clock())
    async with api.listening():
        answer = await api.ask("metrics", Role.REGULATOR)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert samples["tiwei_messages_total",] == 7
    assert samples["tiwei_quarantined_total", "json"] == 2
    assert samples["tiwei_receipt_lag_seconds_bucket", "+Inf"] == samples["tiwei_receipt_lag_seconds_count",] == 6
    assert samples["tiwei_receipt_lag_seconds_bucket", "1"] == 5
    assert samples["tiwei_open_faults", "entrapment"] == 1
    assert samples["tiwei_open_faults", "overspeed"] == 0
    assert samples["tiwei_open_incidents", "critical", "entrapment"] == 1
    assert samples["tiwei_held_messages",] == 3
    assert samples["tiwei_something_new",] == 1
    assert samples["tiwei_api_live_clients",] == 1
    assert samples["tiwei_database_up",] == 1
    assert samples["tiwei_api_requests_total", "/api/v1/equipment/{equipment_id}", "200", "GET"] > 0
    assert samples["tiwei_feed_position",] > 0
    assert not [name for name in samples if "LIFT-1" in str(name)]
    assert (await api.ask("fleet", Role.OPERATOR, WHOLE)).status_code == 200
