"""From settings to embedded parts, and to their URLs for commands that do not run them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from monitor.adapters.embedded import ports
from monitor.adapters.embedded.folder import DataFolder, read_private
from monitor.adapters.embedded.nats import NatsServer
from monitor.adapters.embedded.nats_conf import BrokerOptions, Tls
from monitor.adapters.embedded.postgres import DATABASE, HOST, USER, PostgresServer
from monitor.domain.errors import RefusedError, UnavailableError
from monitor.settings import Settings

_STOP_S = 8.0


def make_database(settings: Settings, folder: DataFolder) -> PostgresServer:
    """The embedded database as the settings want it."""
    return PostgresServer(folder, programs=settings.postgres_bin, port=settings.postgres_port)


def make_broker(settings: Settings, folder: DataFolder) -> NatsServer:
    """The embedded broker as the settings want it."""
    tls = None
    if settings.mqtt_tls_cert_file is not None and settings.mqtt_tls_key_file is not None:
        tls = Tls(
            cert=settings.mqtt_tls_cert_file.absolute(),
            key=settings.mqtt_tls_key_file.absolute(),
            client_ca=settings.mqtt_tls_client_ca_file and settings.mqtt_tls_client_ca_file.absolute(),
        )
    device = settings.mqtt_device_password
    return NatsServer(
        folder,
        BrokerOptions(
            host=settings.mqtt_host,
            port=settings.mqtt_port,
            tls=tls,
            device_password=device.get_secret_value() if device else None,
            ack_wait_s=settings.mqtt_ack_wait_s,
            store_gib=settings.mqtt_store_gib,
        ),
    )


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[str]:
    """URL of the configured database, for a command that wants it for a while.

    The external one where TIWEI_DATABASE_URL names it; else the embedded one, which is started for the while when no
    `tiwei up` runs it. The caller brings the schema up to date.

    Raises:
        RefusedError, UnavailableError: the embedded one cannot be started or found.
    """
    external = settings.database_dsn()
    if external is not None:
        yield external
        return
    folder = DataFolder(settings.data_dir)
    try:
        folder.lock()
    except UnavailableError:
        yield _running_database(folder)
        return
    server = make_database(settings, folder)
    try:
        yield await server.start()
    finally:
        await server.stop(_STOP_S)
        folder.unlock()


def _running_database(folder: DataFolder) -> str:
    """URL of the database that another process of ours runs now."""
    home = folder.path / "postgres"
    port = ports.remembered(home / "port")
    if not port:
        raise UnavailableError(f"the database in {home} is just being made: try again in a moment")
    try:
        password = read_private(home / "password")
    except RefusedError as error:
        raise RefusedError(f"the running database's password cannot be read: {error}") from error
    return f"postgresql://{USER}:{quote(password)}@{HOST}:{port}/{DATABASE}"


def client_id(settings: Settings, folder: DataFolder) -> str:
    """The centre's MQTT client id: the chosen one, else 128 random bits made once and kept in the data folder."""
    chosen = settings.mqtt_client_id
    return chosen.get_secret_value() if chosen else folder.secret("client_id")
