"""A session over TLS, with a certificate on both sides."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from subprocess import run

import aiomqtt
import pytest

from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import BrokerOptions, Tls
from monitor.adapters.mqtt import MqttSource
from monitor.adapters.mqtt_connection import Connection, tls_context
from monitor.domain.errors import UnavailableError
from tests.adapters.sessions import (
    SOON,
    broker_at,
    collect,
    lift,
    now_ms,
    running,
    status,
    texts,
)
from tests.conftest import DEVICE_PASSWORD


async def test_over_tls_with_a_client_certificate(tmp_path: Path) -> None:
    authority, cert, key = certificates(tmp_path)
    tls = Tls(cert=cert, key=key, client_ca=authority)
    options = BrokerOptions(port=0, device_password=DEVICE_PASSWORD, tls=tls)
    server = NatsServer(DataFolder(tmp_path / "broker"), options)
    url = await server.start()
    try:
        with_certificate = replace(broker_at(url), tls=tls_context(authority, cert, key))
        async with running(MqttSource(with_certificate, now_ms, SOON)) as source:
            sender = aiomqtt.Client(
                "127.0.0.1",
                with_certificate.port,
                username="device",
                password=DEVICE_PASSWORD,
                tls_context=tls_context(authority, cert, key),
            )
            sender.pending_calls_threshold = 1_000
            name, payload = lift(), "x" * 40_000  # more than a TLS record
            async with sender:
                await asyncio.gather(*(sender.publish(status(name), f"{n:03d}{payload}", qos=1) for n in range(50)))
            got = texts(await collect(source, name, 50), name)
        assert sorted(one[:3] for one in got) == [f"{n:03d}" for n in range(50)]
        assert {one[3:] for one in got} == {payload}
        without = Connection(
            replace(broker_at(url), tls=tls_context(authority, None, None), timeout_s=1.0), "x", now_ms, print
        )
        with pytest.raises(UnavailableError):
            await without.open()
        await without.close()
    finally:
        await server.stop(5)


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = "subjectAltName=IP:127.0.0.1"
    run([*command.split(), "-addext", names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, cert, key
