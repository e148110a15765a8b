"""The live feed: snapshot and changes without a gap or a repeat, each in its sight, resumed, and cut off in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
import websockets

from api import live
from monitor.adapters.access_audit import Deed
from monitor.adapters.access_secrets import digest, new_secret
from monitor.adapters.feed import Line, Topic, publish, trim
from monitor.domain.access import Role, Scope
from monitor.domain.commit import Commit, Measurement
from monitor.domain.fault import FaultKind
from monitor.messages.samples import absent_rows
from tests.adapters.casework import cleared, raised
from tests.api.served import WHOLE, Listener, Served

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def tell(api: Served, *lines: Line) -> int:
    """Publish as a writer does; returns the position."""
    async with api.database.session() as session, session.transaction():
        return await publish(session, lines) or 0


def fault_line(number: int, division: str | None = "320500", firm_id: str | None = "F1") -> Line:
    return Line(topic=Topic.FAULT, body={"n": number}, division=division, firm_id=firm_id, number=1)


async def heard(listener: Listener, count: int) -> list[dict[str, Any]]:
    return [await listener.next() for _ in range(count)]


def cursors(messages: Sequence[dict[str, Any]]) -> list[int]:
    assert {one["type"] for one in messages} <= {"change"}
    return [one["cursor"] for one in messages]


async def test_a_snapshot_then_every_change_as_it_is_committed(api: Served) -> None:
    assert api.centre is not None
    async with api.listening() as listener:
        whole = await listener.snapshot()
        (incident,), faults = whole["incidents"], whole["faults"]
        assert (incident["kind"], incident["equipment_id"]) == ("entrapment", "LIFT-1")
        assert {fault["kind"] for fault in faults} == {"entrapment", "offline"}
        assert [one["equipment_id"] for one in whole["equipment"]] == ["LIFT-1", "LIFT-2", "LIFT-3", "BOILER-4"]
        assert "limits" not in whole["equipment"][0]
        assert whole["equipment"][0]["incident_id"] == incident["incident_id"]
        assert whole["centre"]["database"] == "up"
        door = raised(FaultKind.DOOR_OPEN_FAULT, 5_000, number=3)
        await api.centre.batch(door)
        fault, opened = await heard(listener, 2)
        assert (fault["topic"], fault["body"]["state"]) == ("fault", "raised")
        assert fault["body"]["fault"]["equipment_id"] == "LIFT-3"
        assert (opened["topic"], opened["body"]["entry"]["place"]) == ("incident", 1)
        assert cursors([fault, opened]) == [whole["cursor"] + 1, whole["cursor"] + 2]
        beat = await listener.beat()
        assert (beat["cursor"], beat["centre"]["database"]) == (opened["cursor"], "up")
        await api.centre.batch(cleared(door, 9_000))
        assert [one["topic"] for one in await heard(listener, 2)] == ["fault", "incident"]


async def test_an_action_is_told_to_everybody_and_a_stale_one_shows_the_present(api: Served) -> None:
    assert api.centre is not None
    case = next(one for one in await api.centre.all() if one.incident.is_open)
    path = f"incidents/{case.incident.incident_id}/actions"
    async with api.listening(Role.REGULATOR) as listener:
        await listener.snapshot()
        asked = {"action": "dispatch", "version": case.incident.version, "sent": "team 3"}
        done = await api.ask(path, Role.OPERATOR, method="POST", json=asked)
        assert (done.status_code, done.json()["status"]) == (200, "DISPATCHED")
        # The snapshot may be a moment old, made for somebody else: what has happened since then comes first.
        while (told := await listener.next())["body"].get("incident") != done.json():
            pass
        entry = told["body"]["entry"]
        assert (entry["what"], entry["detail"], entry["source"]) == ("dispatch", {"sent": "team 3"}, "operator")
    stale = await api.ask(path, Role.OPERATOR, method="POST", json=asked)
    assert stale.status_code == 409
    assert stale.json()["incident"]["version"] == done.json()["version"]
    for action, role, status in (("close", Role.FIRM, 403), ("note", Role.OPERATOR, 422), ("arrive", Role.FIRM, 200)):
        version = (await api.got(f"incidents/{case.incident.incident_id}"))["version"]
        answer = await api.ask(path, role, method="POST", json={"action": action, "version": version})
        assert answer.status_code == status, answer.text
    again = {"action": "dispatch", "version": (await api.got(f"incidents/{case.incident.incident_id}"))["version"]}
    impossible = await api.ask(path, Role.OPERATOR, method="POST", json=again)
    assert (impossible.status_code, impossible.json()["type"]) == (409, "urn:tiwei:problem:step-not-possible")
    lines = (await api.got("audit?action=incident_action"))["items"]
    assert [line["detail"]["step"] for line in lines] == ["arrive", "dispatch"]


async def test_resuming_gives_exactly_what_was_missed_whoever_publishes_meanwhile(api: Served) -> None:
    async with api.listening() as listener:
        seen = (await listener.snapshot())["cursor"]

    async def chatter(n: int) -> None:
        for k in range(60):
            await tell(api, fault_line(1_000 * n + k), fault_line(-k))

    chattering = [asyncio.create_task(chatter(n)) for n in range(3)]
    got: list[int] = []
    while not all(task.done() for task in chattering):
        async with api.listening(cursor=seen) as listener:
            began = await listener.next()
            assert (began["type"], began["cursor"]) == ("resumed", seen)
            part = cursors(await heard(listener, 7))
            got += part
            seen = part[-1]
        if got[-1] - got[0] >= 300:
            break
    await asyncio.gather(*chattering)
    last = await api.parts.hub._feed.position()
    async with api.listening(cursor=seen) as listener:
        assert (await listener.next())["type"] == "resumed"
        got += cursors(await heard(listener, last - seen))
    assert got == list(range(got[0], last + 1))


async def test_a_cursor_that_is_too_old_or_none_begins_with_a_snapshot(api: Served) -> None:
    last = await tell(api, fault_line(1))
    for cursor in (last + 1_000, 2**62):
        async with api.listening(cursor=cursor) as listener:
            # It may be a moment old, made for somebody else; the changes since then follow.
            seen = (await listener.snapshot())["cursor"]
            assert cursors(await heard(listener, last - seen)) == list(range(seen + 1, last + 1))
    async with api.database.session() as session:
        await trim(session, 2**42)
    async with api.listening(cursor=last - 1) as listener:
        await listener.snapshot()
    url = f"{api.ws_url}?cursor=DROP%20TABLE"
    async with websockets.connect(url, additional_headers=await api.headers(Role.OPERATOR)) as connection:
        await Listener(connection).snapshot()


async def test_each_is_told_what_lies_in_sight(api: Served) -> None:
    state = {"sampled_at": "2026-11-23T08:00:00.000Z", "silent": False}
    states = [
        {"equipment_id": "A", "division": "320500", "firm_id": "F1", **state},
        {"equipment_id": "B", "division": "310104", "firm_id": "F2", **state},
        {"equipment_id": "C", "division": "310104", "firm_id": None, **state},
    ]
    scopes = {WHOLE: "ABC", Scope(division="310000"): "BC", Scope(firm_id="F1"): "A", Scope(division="650000"): ""}
    for scope, expected in scopes.items():
        async with api.listening(Role.OPERATOR, scope) as listener:
            await listener.snapshot()
            await tell(api, fault_line(1, "310104", "F2"), Line(topic=Topic.STATES, body={"states": states}))
            await tell(api, Line(topic=Topic.REGISTRY, body={"equipment_ids": ["B"]}))
            told = {}
            while "registry" not in told:
                message = await listener.next()
                told[message["topic"]] = message["body"]
            assert ("fault" in told) == scope.covers("310104", "F2")
            assert "".join(one["equipment_id"] for one in told.get("states", {"states": []})["states"]) == expected
            assert told["registry"] == {"equipment_ids": ["B"] if scope.whole else []}


async def test_every_sample_of_what_is_watched_comes_once_and_of_nothing_else(api: Served) -> None:
    assert api.centre is not None
    store, position = api.centre.store, api.centre.position

    async def commit(*samples: tuple[int, int, int]) -> None:
        nonlocal position
        rows = absent_rows(len(samples))
        for row, (number, time_ms, seq) in zip(rows, samples, strict=True):
            row["number"], row["time_ms"], row["ts"], row["seq"] = number, time_ms, time_ms, seq
            row["received_ms"], row["car_position"], row["speed_mps"] = time_ms, seq, 1.25
        position += 1
        api.centre.position = position  # type: ignore[union-attr]
        await store.commit(Commit(position=position, journal=b"", readings=rows))

    now = api.clock()
    async with api.listening(Role.OPERATOR, Scope(division="320500")) as listener:
        await listener.snapshot()
        await listener.connection.send(json.dumps({"watch": ["LIFT-1", "LIFT-3", "nonsense\0"]}))
        await commit((1, now - 2_000, 1), (3, now, 7))
        floors: list[int] = []
        for step in range(1, 6):
            await commit((1, now + 10 * step, 1 + step), (1, now + 10 * step - 1_500, 100 + step))
        while len(floors) < 11:
            message = await listener.next()
            assert (message["type"], message["equipment_id"]) == ("reading", "LIFT-1")
            floors += [one["car_position"] for one in message["readings"]]
            assert {(one["speed_mps"], one["silent"], one["passenger"]) for one in message["readings"]} == {
                (1.25, False, None)
            }
        assert sorted(floors) == [1, 2, 3, 4, 5, 6, 101, 102, 103, 104, 105]
        await listener.connection.send('{"watch": []}')
        await commit((1, now + 100, 50))
        await tell(api, fault_line(1))
        assert (await listener.next())["type"] == "change"


async def test_quantities_of_what_is_watched_come_too(api: Served) -> None:
    assert api.centre is not None
    now = api.clock()
    async with api.listening() as listener:
        await listener.snapshot()
        await listener.connection.send('{"watch": ["BOILER-4"]}')
        api.centre.position += 1
        sample = Measurement(
            number=4, time_ms=now, received_ms=now, ts=now, seq=1, broken_clock=False, values={"p": 1.5}
        )
        await api.centre.store.commit(Commit(position=api.centre.position, journal=b"", measurements=(sample,)))
        while (message := await listener.next())["type"] != "reading":
            assert message["type"] == "change"
        assert (message["equipment_id"], message["readings"][0]["quantities"]) == ("BOILER-4", {"p": 1.5})


@pytest.mark.parametrize(
    "said", ["", "{", "[]", '{"watch": "LIFT-1"}', '{"watch": [1]}', json.dumps({"watch": ["x"] * 21}), "[" * 3_000]
)
async def test_who_says_what_nobody_understands_is_told_so(api: Served, said: str) -> None:
    async with api.listening() as listener:
        await listener.snapshot()
        await listener.connection.send(said)
        assert (await listener.closed())[0] == 1008


async def test_a_sign_in_that_is_over_or_revoked_ends_the_feed(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "CHECK_S", 0.2)

    async def listening(expires_ms: int | None) -> Listener:
        secret = new_secret()
        deed = Deed(at_ms=api.clock(), origin="tests", action="token_create")
        await api.parts.tokens.create(digest(secret), "", Role.OPERATOR, WHOLE, expires_ms=expires_ms, deed=deed)
        headers = {"Authorization": f"Bearer {secret}"}
        return Listener(await websockets.connect(api.ws_url, additional_headers=headers))

    brief = await listening(api.clock() + 1_000)
    assert await brief.closed() == (4401, "the sign-in is over")
    revoked = await listening(None)
    await revoked.snapshot()
    newest = (await api.parts.tokens.listed())[-1].token_id
    await api.parts.tokens.revoke(newest, Deed(at_ms=api.clock(), origin="tests", action="token_revoke"))
    assert await revoked.closed() == (4401, "the sign-in is over")


async def test_a_fleet_comes_in_pieces_without_one_missing_or_twice(api: Served) -> None:
    division = "440300"
    async with api.database.session() as session:
        await session.execute(
            "INSERT INTO tiwei.equipment (equipment_id, division, kind, registered)"
            " SELECT 'MANY-' || n, $1, 'lift', true FROM generate_series(1, 2500) AS n",
            division,
        )
    async with api.listening(Role.OPERATOR, Scope(division=division)) as listener:
        whole = await listener.snapshot()
    assert {one["equipment_id"] for one in whole["equipment"]} == {f"MANY-{n}" for n in range(1, 2501)}
    assert len(whole["equipment"]) == 2_500
    found, cursor = [], ""
    while cursor is not None:
        page = await api.got(f"equipment?division={division}&limit=400{cursor and '&cursor=' + cursor}")
        found += [one["equipment_id"] for one in page["items"]]
        cursor = page["next"]
    assert found == [one["equipment_id"] for one in whole["equipment"]]


@pytest.mark.asyncio(loop_scope="function")
async def test_the_end_of_the_process_is_said(own_api: Served) -> None:
    async with own_api.listening() as listener:
        await listener.snapshot()
        own_api.server.should_exit = True
        assert (await listener.closed(5))[0] == 1001
