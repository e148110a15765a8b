"""What `monitor.adapters.mqtt_connection` relies on in aiomqtt and paho. When this fails, read that file again."""

from __future__ import annotations

import asyncio
import importlib.metadata
import inspect
import re
from pathlib import Path
from typing import Any

import aiomqtt
import paho.mqtt.client as paho
import pytest

from monitor.adapters import mqtt_connection


def test_versions_are_the_pinned_ones() -> None:
    pinned = dict(re.findall(r'"(aiomqtt|paho-mqtt)==([\d.]+)"', Path("pyproject.toml").read_text()))
    assert pinned == {name: importlib.metadata.version(name) for name in ("aiomqtt", "paho-mqtt")}


async def test_the_client_wraps_a_paho_client_with_a_future_for_its_end() -> None:
    client: Any = aiomqtt.Client("127.0.0.1")
    assert isinstance(client._client, paho.Client)
    assert isinstance(client._disconnected, asyncio.Future)
    assert client._client.on_connect == client._on_connect


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_create_socket", ["self"]),
        ("_sock_close", ["self"]),
        ("_packet_queue", ["self", "command", "packet", "mid", "qos", "info"]),
        ("loop_read", ["self", "max_packets"]),
        ("manual_ack_set", ["self", "on"]),
    ],
)
def test_the_private_methods_of_paho_are_as_they_were(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(getattr(paho.Client, name)).parameters) == parameters


def test_paho_takes_its_socket_from_create_socket_and_makes_it_non_blocking() -> None:
    source = inspect.getsource(paho.Client.reconnect)
    assert "self._sock = self._create_socket()" in source
    assert "self._sock.setblocking(False)" in source


def test_paho_reads_bytes_only_through_recv_and_takes_blocking_for_nothing_there() -> None:
    assert "return self._sock.recv(bufsize)" in inspect.getsource(paho.Client._sock_recv)
    packet_read = inspect.getsource(paho.Client._packet_read)
    assert packet_read.count("except BlockingIOError:") == 3
    assert "if len(command) == 0:\n                    return MQTTErrorCode.MQTT_ERR_CONN_LOST" in packet_read


def test_aiomqtt_reads_on_while_the_socket_says_that_bytes_are_pending() -> None:
    source = inspect.getsource(aiomqtt.Client._on_socket_open)
    assert "client._sock.pending() > 0" in source
    assert "self._disconnected.set_exception(exc)" in source


def test_a_queued_packet_asks_for_a_writer_that_writes_and_is_taken_away_with_the_socket() -> None:
    assert "self._call_socket_register_write()" in inspect.getsource(paho.Client._packet_queue)
    assert "self._call_socket_unregister_write(sock)" in inspect.getsource(paho.Client._sock_close)
    assert "self._loop.remove_writer(sock.fileno())" in inspect.getsource(aiomqtt.Client._on_socket_unregister_write)
    assert "client.loop_write()" in inspect.getsource(aiomqtt.Client._on_socket_register_write)


def test_paho_writes_a_queued_packet_as_it_is() -> None:
    source = inspect.getsource(paho.Client._packet_write)
    assert "packet['packet'][packet['pos']:]" in source


def test_no_other_file_reaches_into_them() -> None:
    own = Path(mqtt_connection.__file__).name
    for file in sorted(Path("monitor").rglob("*.py")):
        if file.name != own:
            assert not re.search(r"import aiomqtt|import paho|from (aiomqtt|paho)", file.read_text()), file
