"""What a person at the console depends on: the process `tiwei api`, lifts that send, a page that is listened to."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import BrowserContext, ConsoleMessage, Page

from api.guard import COOKIE
from tests.scenarios.centre import Centre
from tests.scenarios.sender import Sender
from tests.waiting import eventually

DIVISION = "310104"
PASSWORD = "tests-only-operator"
ESTATES = ("锦绣江南", "翠竹小区", "枫林晚苑", "望湖花园", "云溪国际大厦", "书香名邸", "桂花苑", "和平新村", "银泰城")
#: The first lifts stand still until a test says otherwise; the others wander.
STILL = 30
STOREY_M = 3.0
SPEED_MPS = 2.5
DOORS_S = 4.0
#: What a browser says while a server is away on purpose, and of an answer that is no success.
OF_OUTAGES = ("net::ERR_", "status of 503", "status of 500", "WebSocket connection to")


#: Sign-ins by address and name.
_LEFT: dict[tuple[str, str], str] = {}


class Console:
    """The process `tiwei api`, at the same address whenever it is started."""

    def __init__(self, of: Centre, folder: Path) -> None:
        self._centre, self._folder = of, folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.process: subprocess.Popen[bytes] | None = None

    def _environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("TIWEI_")}
        return {
            **ours,
            "TIWEI_DATA_DIR": str(self._folder / "data"),
            "TIWEI_DATABASE_URL": self._centre.database_url,
            "TIWEI_HTTP_PORT": str(self._port),
        }

    def _spawn(self) -> Path:
        """Start it; returns the file of what it says."""
        said = self._folder / "console"
        with said.open("wb") as out, (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "api"], env=self._environment(), stdout=out, stderr=log
            )
        return said

    async def start(self, seconds: float = 30) -> None:
        said = self._spawn()

        def ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self._centre.log()[-4000:]
            return b"ready" in said.read_bytes()

        await eventually(ready, seconds)

    def add_user(self, name: str, role: str) -> None:
        words = ["user", "add", name, "--role", role, "--password-stdin"]
        subprocess.run(
            [sys.executable, "-m", "monitor", *words],
            env=self._environment(),
            input=PASSWORD.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
            timeout=30,
        )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


@dataclass(kw_only=True)
class Lift:
    """A lift that sends: it goes to `target` at SPEED_MPS, and stands where it is when `held`."""

    equipment_id: str
    rescue_code: str
    estate: str
    address: str
    wanders: bool = False
    doors_s: float = 0.0
    height_m: float = 0.0
    target: int = 1
    held: bool = False
    quiet: bool = False
    passenger: int = 0
    door_closed: int = 1
    direction: int = 0
    seq: int = 0

    @property
    def registered(self) -> dict[str, Any]:
        """Its entry in the register."""
        return {
            "equipment_id": self.equipment_id,
            "division": DIVISION,
            "kind": "lift",
            "rescue_code": self.rescue_code,
            "bottom_floor": 1,
            "top_floor": 18,
            "floor_height_m": STOREY_M,
            "rated_speed_mps": SPEED_MPS,
            "place": {"estate": self.estate, "address": self.address},
        }

    def move(self, seconds: float) -> None:
        """Go on for so long; one that wanders goes somewhere else from time to time, and takes somebody along."""
        if self.wanders and self.door_closed and self.seq % 23 == int(self.rescue_code) % 23:
            self.target, self.passenger = 1 + (self.target * 7 + int(self.rescue_code)) % 18, self.seq % 2
        left = (self.target - 1) * STOREY_M - self.height_m
        step = 0.0 if self.held else max(-SPEED_MPS * seconds, min(SPEED_MPS * seconds, left))
        self.height_m += step
        arrived = step == 0 and self.direction != 0 and not self.held
        self.direction = 0 if step == 0 else 1 if step > 0 else 2
        self.doors_s = DOORS_S if arrived else max(self.doors_s - seconds, 0.0)
        self.door_closed = int(self.doors_s == 0)
        if self.doors_s == 1:
            self.passenger = 0

    def sample(self) -> dict[str, Any]:
        """The present state as it is sent."""
        self.seq += 1
        floors = self.height_m / STOREY_M
        return {
            "ts": time.time_ns() // 1_000_000,
            "seq": self.seq,
            "service_mode": 1,
            "car_status": int(self.direction != 0),
            "car_direction": self.direction,
            "door_zone": int(abs(floors - round(floors)) * STOREY_M < 0.2),
            "car_position": 1 + round(floors),
            "door_closed": self.door_closed,
            "passenger": self.passenger,
            "speed_mps": SPEED_MPS if self.direction else 0.0,
            "position_m": round(self.height_m, 3),
            "power": 1,
        }


def _lift(n: int) -> Lift:
    estate = ESTATES[n % 11 % len(ESTATES)]
    return Lift(
        equipment_id=f"3110310104202601{n:04d}",
        rescue_code=f"{310_000 + 137 * n}",
        estate=estate,
        address=f"云溪县石桥镇{estate}{1 + n // 11}幢{1 + n % 3}单元",
        wanders=n > STILL,
    )


@dataclass
class Town:
    """Lifts and what they send, over MQTT, until the broker has it."""

    sender: Sender
    lifts: list[Lift] = field(default_factory=list)

    @staticmethod
    def some(count: int) -> list[Lift]:
        return [_lift(n) for n in range(1, count + 1)]

    def send(self, lift: Lift, topic: str, body: dict[str, Any]) -> None:
        self.sender.put(f"se/v1/{DIVISION}/lift/{lift.equipment_id}/{topic}", json.dumps(body).encode())

    def trap(self, lift: Lift) -> None:
        """Stop it between two floors with somebody inside, who presses the button: told at once."""
        lift.held, lift.passenger, lift.direction = True, 1, 0
        lift.height_m = round(lift.height_m / STOREY_M) * STOREY_M + 1.2
        self.send(lift, "status", lift.sample())
        self.send(lift, "event", {"ts": time.time_ns() // 1_000_000 + 1, "code": 90, "state": "raised"})

    async def run(self) -> None:
        """A sample of each every second; the sender goes on beside it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sender.run())
            group.create_task(self._live())

    async def _live(self) -> None:
        while True:
            for lift in self.lifts:
                lift.move(1.0)
                if not lift.quiet or lift.seq == 0:
                    self.send(lift, "status", lift.sample())
            await asyncio.sleep(1.0)


class Watched:
    """A page, and everything it complains of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(f"error {error}"))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} {message.location.get('url', '')}")

    def clean(self, *expected: str) -> None:
        """Fails where the page complained of anything but that."""
        assert [one for one in self.complaints if not any(text in one for text in expected)] == []


async def open_page(context: BrowserContext, violations: list[str]) -> Watched:
    """A page whose violations of the policy are written down, too."""
    page = Watched(await context.new_page())
    await page.page.expose_binding("violated", lambda _source, what: violations.append(what))
    await page.page.add_init_script(
        "addEventListener('securitypolicyviolation', (e) => violated(`${e.violatedDirective} ${e.blockedURI}`))"
    )
    return page


async def sign_in(watched: Watched, url: str, name: str = "wang") -> Page:
    """Sign in there, or go on with a sign-in that another test left; returns the page with the fleet on it."""
    page = watched.page
    if (url, name) in _LEFT:
        await page.context.add_cookies([{"name": COOKIE, "value": _LEFT[url, name], "url": url}])
    await page.goto(url)
    if page.url.endswith("/sign-in"):
        await page.fill("#name", name)
        await page.fill("#password", PASSWORD)
        await page.click("form button")
    await page.wait_for_selector(".cell")
    _LEFT[url, name] = next(one["value"] for one in await page.context.cookies(url) if one["name"] == COOKIE)
    return page
