"""`tiwei demo`: a whole centre with a simulated town; address and sign-in of its console, faults in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rich.console import Console
from rich.text import Text

from monitor.adapters.access import Access
from monitor.adapters.access_audit import Deed
from monitor.adapters.access_secrets import new_password
from monitor.adapters.accounts import EVERYBODY
from monitor.adapters.faults import Faults, FeedLine
from monitor.adapters.pool import Database
from monitor.adapters.registry import Registry
from monitor.adapters.supervisor_child import Child, command
from monitor.commands._words import CHINESE
from monitor.commands.up import Centre, supervise
from monitor.domain.access import Role, Scope
from monitor.domain.equipment import Equipment
from monitor.domain.errors import SettingsError
from monitor.domain.fault import FaultKind, FaultState
from monitor.log import start_logging
from monitor.messages.registry import read
from monitor.settings import Settings, read_settings
from simulators.fleet import make_town
from simulators.scenario import Scenario, ScenarioError, load

_PASSWORD = "DEMO_BROKER_PASSWORD"  # noqa: S105 the variable's name
#: Who signs in to the demo's console, with a password made at every start.
_VISITOR = "demo"
_URGENT = frozenset({FaultKind.ENTRAPMENT, FaultKind.LOST_CONTACT_OCCUPIED, FaultKind.CAR_ALARM_BUTTON})


def add(subparsers: Any) -> None:
    """Declare the command."""
    parser = subparsers.add_parser("demo", help="a whole centre with a simulated town, nothing installed beforehand")
    parser.add_argument("--scenario", default="demo", help="of the simulated town: a name or a TOML file")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until SIGTERM or SIGINT. Without TIWEI_DATA_DIR the data lives in a folder that is gone afterwards."""
    passing = None if _chosen_folder() else Path(tempfile.mkdtemp(prefix="tiwei-demo-"))
    try:
        settings = _settings(passing)
        start_logging(settings.log_level, process="demo")
        demo = Demo(settings, args.scenario)
        asyncio.run(supervise(demo, beside=demo.show))
    finally:
        if passing is not None:
            shutil.rmtree(passing, ignore_errors=True)
    return 0


def _chosen_folder() -> bool:
    return "data_dir" in read_settings().model_fields_set


def _settings(passing: Path | None) -> Settings:
    """The settings as they are, with a login for the town, and quiet: the terminal is for the faults."""
    chosen = read_settings()
    demo: dict[str, Any] = {}
    if passing is not None:
        demo["data_dir"] = passing
    if chosen.mqtt_device_password is None:
        demo["mqtt_device_password"] = secrets.token_urlsafe(18)
    if "log_level" not in chosen.model_fields_set:
        demo["log_level"] = "warning"
    return read_settings(**demo)


def _scenario(name: str) -> Scenario:
    try:
        return load(name)
    except ScenarioError as error:
        raise SettingsError(str(error)) from error


class Demo(Centre):
    """A centre, the town that reports to it, and a view of what the centre finds."""

    def __init__(self, settings: Settings, scenario: str) -> None:
        super().__init__(settings)
        self._scenario_name = scenario
        self._scenario = _scenario(scenario)
        self._console = Console(stderr=True, highlight=False)
        self._equipment: dict[str, Equipment] = {}
        self._visitor_password = new_password()

    async def prepare(self) -> None:
        """The town's register is the centre's before its first message comes."""
        town = make_town(
            seed=self._scenario.seed,
            lifts=self._scenario.lifts,
            traffic=self._scenario.traffic,
            plants=self._scenario.plants,
        )
        equipment = read(json.dumps({"registry": town.registry()}).encode(), "json")
        self._equipment = {one.equipment_id: one for one in equipment}
        database = Database(self.supervisor.urls["database"], application="tiwei demo", connections=1)
        try:
            await Registry(database).import_equipment(equipment)
            await self._make_visitor(Access(database))
        finally:
            await database.close()
        self.supervisor.keep(
            Child("town", self._town_command, env=self._town_environment, after=self.hearing, on_ready=self._welcome)
        )

    async def _make_visitor(self, access: Access) -> None:
        """An operator's account; in a folder that is kept, the one of last time gets today's password."""
        known = {one.name for one in await access.listed()}
        deed = Deed(at_ms=time.time_ns() // 1_000_000, origin="tiwei demo", action="account", subject=_VISITOR)
        if _VISITOR in known:
            await access.set_password(_VISITOR, self._visitor_password, deed)
        else:
            await access.add(_VISITOR, Role.OPERATOR, Scope(), self._visitor_password, deed)

    def environment(self) -> dict[str, str]:
        """As for every centre; its processes are as quiet as we are."""
        return super().environment() | {"TIWEI_LOG_LEVEL": self.settings.log_level}

    async def show(self) -> None:
        """Print each fault that is raised or cleared from now on."""
        await self.hearing.wait()
        database = Database(self.supervisor.urls["database"], application="tiwei demo", connections=1)
        try:
            faults = Faults(database)
            async with aclosing(faults.follow(await faults.position())) as feed:
                async for change in feed:
                    self._console.print(self._line(change), soft_wrap=True)
        finally:
            await database.close()

    def _town_command(self) -> list[str]:
        broker = urlsplit(self.supervisor.urls["mqtt"])
        place = broker._replace(netloc=broker.netloc.rpartition("@")[2]).geturl()
        login, _ = self._town_login()
        words = ["simulate", "--scenario", self._scenario_name, "--mqtt", place]
        if login is not None:
            words += ["--user", login, "--password-env", _PASSWORD]
        if self.settings.mqtt_ca_file is not None:
            words += ["--ca-file", str(self.settings.mqtt_ca_file)]
        return command(*words)

    def _town_login(self) -> tuple[str | None, str]:
        """Login and password at our broker, or those of TIWEI_MQTT_URL at another."""
        external = self.settings.mqtt_dsn()
        if external is not None:
            parts = urlsplit(external)
            return unquote(parts.username) if parts.username else None, unquote(parts.password or "")
        password = self.settings.mqtt_device_password
        return EVERYBODY, password.get_secret_value() if password else ""

    def _town_environment(self) -> Mapping[str, str]:
        return {**os.environ, _PASSWORD: self._town_login()[1]}

    def _on_console(self, said: Mapping[str, Any]) -> None:
        first = "http" not in self.supervisor.urls
        super()._on_console(said)
        if first:
            text = Text("控制台 console  ", style="bold")
            text.append(f"{said['url']}  用户 user {_VISITOR}  密码 password {self._visitor_password}")
            self._console.print(text, soft_wrap=True)

    def _welcome(self, said: Mapping[str, Any]) -> None:
        text = Text("梯卫 Tiwei  ", style="bold")
        text.append(
            f"模拟县城已开始运行 the simulated town is at work: {said.get('lifts', '')} 台电梯 lifts · Ctrl-C 结束"
        )
        self._console.print(text, soft_wrap=True)

    def _line(self, change: FeedLine) -> Text:
        fault = change.fault
        cleared = change.state is FaultState.CLEARED
        line = Text(f"{self._clock(change.at_ms)}  ")
        line.append("已恢复 " if cleared else "故障 ", style="green" if cleared else "red")
        style = "dim" if cleared else "bold red" if fault.kind in _URGENT else "yellow"
        line.append(f"{CHINESE.get(fault.kind, '')} {fault.kind}", style=style)
        one = self._equipment.get(fault.equipment_id)
        where = str(one.place.get("address", "")) if one else ""
        code = f"救援码 {one.rescue_code}" if one and one.rescue_code else fault.equipment_id
        line.append(f"  {where}  {code}  发生于 since {self._clock(fault.since_ms)}")
        return line

    def _clock(self, ms: int) -> str:
        return datetime.fromtimestamp(ms / 1000, UTC).astimezone(self.settings.zone).strftime("%H:%M:%S")
