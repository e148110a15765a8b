"""One connection to the broker: aiomqtt and paho keep it, we take the messages out and acknowledge by hand.

The only file with private access to them: `aiomqtt.Client._client` (the paho client) and `_disconnected`, paho's
`_create_socket`, `_sock_close` and `_packet_queue`. `tests/adapters/test_mqtt_upstream.py` fails when a version changes
what is relied on here.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
from paho.mqtt.client import PUBACK

from monitor.adapters.mqtt_frames import PacketIds, Tap, pubacks
from monitor.domain.errors import RefusedError, SettingsError, UnavailableError
from monitor.messages.decode import Inbound

_REFUSED = 0x80


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where the broker is and who we are there.

    `session_id` is a secret of 128 bits: on NATS and others, who connects with it takes the session over.
    """

    host: str
    port: int
    session_id: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 30
    #: The longest an attempt to connect, to subscribe or to say goodbye may take.
    timeout_s: float = 10.0


def tls_context(
    ca_file: Path | None, cert_file: Path | None, key_file: Path | None, pinned_file: Path | None = None
) -> ssl.SSLContext:
    """A context that checks the broker's certificate, with our own where given. Raises SettingsError.

    `pinned_file`: the broker must show this very certificate, whatever name it bears (ours on loopback does).
    """
    try:
        context = ssl.create_default_context(cafile=pinned_file or ca_file)
        if pinned_file is not None:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if cert_file is not None:
            context.load_cert_chain(cert_file, key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(one) for one in (pinned_file or ca_file, cert_file, key_file) if one)
        raise SettingsError(f"TLS files of the broker: {error} ({files})") from error
    return context


@dataclass(slots=True)
class Chunk:
    """What one read of the socket brought."""

    connection: Connection
    messages: list[Inbound]
    mids: list[int]
    size: int


class Connection:
    """One connection of the persistent session `name`, from `open` to `close`; not to be opened again.

    `arrived` is called in the event loop for every read that brought messages.
    """

    def __init__(self, broker: Broker, name: str, clock: Callable[[], int], arrived: Callable[[Chunk], None]) -> None:
        self._broker = broker
        self._arrived = arrived
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._tap: Tap | None = None
        self._ids = PacketIds()
        #: Whether the broker remembered the session; known once `open` returns.
        self.resumed_session = False
        self._opened = False
        self._client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=f"{broker.session_id}-{name}",
            clean_session=False,
            tls_context=broker.tls,
            keepalive=broker.keepalive_s,
            timeout=broker.timeout_s,
            logger=logging.getLogger("paho"),
        )
        paho: Any = self._client._client  # noqa: SLF001
        self._paho = paho
        self._paho.manual_ack_set(True)
        self._paho.connect_timeout = broker.timeout_s
        self._create_socket: Any = self._paho._create_socket  # noqa: SLF001
        self._paho._create_socket = self._tapped_socket  # noqa: SLF001
        self._connected: Any = self._paho.on_connect
        self._paho.on_connect = self._on_connect
        self._written_later: Any = self._paho.on_socket_register_write
        self._paho.on_socket_register_write = self._register_write

    def _tapped_socket(self) -> Tap:
        self._tap = Tap(self._create_socket(), self._clock, self._deliver, self._ids)
        return self._tap

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        self.resumed_session = bool(flags.session_present)
        self._connected(client, userdata, flags, reason, properties)

    def _deliver(self, messages: list[Inbound], mids: list[int], size: int) -> None:
        self._ids.hold(mids)
        self._arrived(Chunk(self, messages, mids, size))

    async def open(self) -> None:
        """Connect and sign in. Raises UnavailableError, also for what the broker refuses: that may be mended there."""
        try:
            await self._client.__aenter__()
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise UnavailableError(str(error)) from error
        self._opened = True

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe at QoS 1. Raises RefusedError where a filter is denied, UnavailableError."""
        try:
            codes = await self._client.subscribe([(one, 1) for one in filters])
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise UnavailableError(str(error)) from error
        for one, code in zip(filters, codes, strict=True):
            granted = int(getattr(code, "value", 0))
            if granted >= _REFUSED:
                raise RefusedError(
                    f"the broker refused the subscription {one} (0x{granted:02x}): the account may not read it, or the"
                    " broker's max_ack_pending is too large (NATS: 65,535 over all filters of a session)"
                )
            if granted < 1:
                raise RefusedError(f"the broker grants {one} at QoS 0 only: messages would be lost")

    async def ended(self) -> None:
        """Wait for the connection to end. Raises UnavailableError, saying why."""
        try:
            await asyncio.shield(self._client._disconnected)  # noqa: SLF001
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            raise UnavailableError(f"the connection ended: {error}") from error
        raise UnavailableError("the broker closed the connection")

    async def close(self) -> None:
        """Say goodbye where that is possible and let go of the socket, whatever state it is in."""
        if self._opened:
            with suppress(aiomqtt.MqttError, OSError, ValueError):
                await self._client.__aexit__(None, None, None)
        self._paho._sock_close()  # noqa: SLF001

    def read_on(self, wanted: bool) -> None:
        """Read the socket or leave it: then the broker and the socket hold the rest."""
        tap = self._tap
        if tap is None or tap.paused is not wanted or tap.fileno() < 0:
            return
        tap.paused = not wanted
        if wanted:
            self._loop.add_reader(tap.fileno(), self._read)
            self._loop.call_soon(self._read)
        else:
            self._loop.remove_reader(tap.fileno())

    def acknowledge(self, mids: list[int]) -> None:
        """One PUBACK for each packet id of this connection, queued as one packet; void once the socket is closed.

        Never raises: what goes wrong ends the connection.
        """
        if self._tap is None or self._tap.fileno() < 0:
            return
        done = self._ids.release(mids, self._clock())
        try:
            self._paho._packet_queue(PUBACK, pubacks(done), 0, 1)  # noqa: SLF001
        except Exception as error:  # noqa: BLE001 - the socket died under us: the messages will come again
            self._end(error)

    def _register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """As aiomqtt's, but at once: later the socket may be closed and its number another's."""
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:  # while it connects paho runs in a thread
            running = None
        if running is self._loop:
            self._loop.add_writer(sock.fileno(), self._write)
        else:
            self._written_later(client, userdata, sock)

    def _write(self) -> None:
        try:
            self._paho.loop_write()
        except Exception as error:  # noqa: BLE001 - as in `_read`
            self._end(error)

    def _end(self, error: Exception) -> None:
        if not self._client._disconnected.done():  # noqa: SLF001
            self._client._disconnected.set_exception(UnavailableError(repr(error)))  # noqa: SLF001

    def _read(self) -> None:
        """As aiomqtt's own reader: whatever goes wrong ends the connection."""
        try:
            while self._paho.loop_read() == 0 and self._tap is not None and self._tap.pending():
                pass
        except Exception as error:  # noqa: BLE001 - the event loop would only log it
            self._end(error)
