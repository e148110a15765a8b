"""Those who ask, for `tiwei bench api`: many connections that ask one route after the other and time every answer.

It runs as a process of its own (`python -m monitor.commands._askers`) and speaks HTTP/1.1 itself: a client library
takes longer over a request than the API does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Whom to ask: `routes` is name to paths, asked in turn; `notes` are paths of incidents to write notes on."""

    host: str
    port: int
    token: str
    routes: dict[str, list[str]]
    notes: list[str] = field(default_factory=list)
    askers: int = 8
    seconds: float = 3.0


class Asker:
    """One connection that is kept alive."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._head = f"Host: {plan.host}:{plan.port}\r\nAuthorization: Bearer {plan.token}\r\n"

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection(self._plan.host, self._plan.port, limit=1 << 24)

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer."""
        length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{self._head}{length}\r\n".encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        size = next(int(one[15:]) for one in head.lower().split("\r\n") if one.startswith("content-length:"))
        return status, await self._reader.readexactly(size)

    def close(self) -> None:
        """Let go."""
        self._writer.close()


@dataclass(slots=True)
class Told:
    """What was answered on one route."""

    late: list[float] = field(default_factory=list)
    wrong: dict[int, int] = field(default_factory=dict)
    octets: int = 0

    def take(self, began: float, status: int, body: bytes) -> None:
        """One answer."""
        self.late.append(time.perf_counter() - began)
        self.octets += len(body)
        if not 200 <= status < 300:
            self.wrong[status] = self.wrong.get(status, 0) + 1

    def figures(self, seconds: float) -> dict[str, Any]:
        """Requests/s; latency in ms, nearest rank; octets of an answer."""
        ranked = sorted(self.late)
        count = len(ranked)
        places = {name: max(0, -(-share * count // 100) - 1) for name, share in (("p50", 50), ("p95", 95), ("p99", 99))}
        return {
            "requests": count,
            "requests_per_s": round(count / seconds, 1),
            **{f"{name}_ms": round(1000 * ranked[place], 2) for name, place in places.items()},
            "octets": self.octets // count,
            "wrong": self.wrong,
        }


async def _ask_on(plan: Plan, number: int, paths: list[str], end: float, told: Told) -> None:
    asker = Asker(plan)
    await asker.open()
    turn = number * 7919
    while time.perf_counter() < end:
        began = time.perf_counter()
        told.take(began, *await asker.ask("GET", paths[turn % len(paths)]))
        turn += 1
    asker.close()


async def _note_on(plan: Plan, path: str, end: float, told: Told) -> None:
    """Notes on one incident, each upon the one before."""
    asker = Asker(plan)
    await asker.open()
    _, body = await asker.ask("GET", path)
    while time.perf_counter() < end:
        asked = {"action": "note", "version": json.loads(body)["version"], "text": "bench"}
        began = time.perf_counter()
        status, body = await asker.ask("POST", f"{path}/actions", json.dumps(asked).encode())
        told.take(began, status, body)
    asker.close()


async def run(plan: Plan) -> dict[str, Any]:
    """One route after the other, each for so long."""
    found: dict[str, Any] = {}
    for name, paths in plan.routes.items():
        told, began = Told(), time.perf_counter()
        end = began + plan.seconds
        await asyncio.gather(*(_ask_on(plan, number, paths, end, told) for number in range(plan.askers)))
        found[name] = told.figures(time.perf_counter() - began)
        print(json.dumps({"done": name}), flush=True)
    if plan.notes:
        told, began = Told(), time.perf_counter()
        end = began + plan.seconds
        await asyncio.gather(*(_note_on(plan, path, end, told) for path in plan.notes[: plan.askers]))
        found["POST incidents/{id}/actions"] = told.figures(time.perf_counter() - began)
    return found


def main() -> int:
    """The process: a Plan as JSON on standard input, figures as JSON on standard output."""
    argparse.ArgumentParser(description="askers of `tiwei bench api`; their plan comes by standard input").parse_args()
    print(json.dumps(asyncio.run(run(Plan(**json.load(sys.stdin))))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
