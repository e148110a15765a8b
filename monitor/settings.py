"""Every setting, in one place, read once.

A setting `history_days` is the environment variable `TIWEI_HISTORY_DAYS`, or the key `history_days` of the TOML file
that `TIWEI_CONFIG` names; the environment wins. Nothing else in Tiwei reads the environment. Secrets are `SecretStr`:
they do not show in logs, errors or `repr`.

Where data lives by default: `/var/lib/tiwei` for root, `$XDG_DATA_HOME/tiwei` or `~/.local/share/tiwei` for everybody
else. Not the current folder: the same centre must be found again from wherever it is started.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, PositiveFloat, PositiveInt, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource
from pydantic_settings import SettingsError as NoJsonError

from monitor.domain.errors import SettingsError

PREFIX = "TIWEI_"
#: Names with the prefix that are no settings: where the file is, and what only the tests read.
NOT_SETTINGS = ("TIWEI_CONFIG", "TIWEI_TEST_")
#: Passwords that stand in examples; whoever kept one has not chosen one.
EXAMPLE_PASSWORDS = frozenset({"change_me", "changeme", "password", "secret", "postgres", "tiwei", "admin", "123456"})
LEAST_PASSWORD = 12

Port = Annotated[int, Field(ge=0, le=65535)]


def _default_data_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/tiwei")
    share = os.environ.get("XDG_DATA_HOME")
    return Path(share) / "tiwei" if share else Path("~/.local/share/tiwei").expanduser()


class Settings(BaseSettings):
    """See the module; every field says what it is for, in which unit, and what its absence means."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, hide_input_in_errors=True
    )

    # Where things are.
    data_dir: Path = Field(
        default_factory=_default_data_dir, description="folder of the embedded parts, keys, accounts"
    )
    timezone: str = Field("Asia/Shanghai", description="IANA zone of days and months in reports")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="least level that is logged")

    # Database.
    database_url: SecretStr | None = Field(
        None, description="postgresql://user:password@host:port/name; empty: embedded"
    )
    database_password_file: Path | None = Field(None, description="file whose first line is the database password")
    database_pool: PositiveInt = Field(6, description="connections of one process to the database")
    postgres_bin: Path | None = Field(None, description="bin folder of a PostgreSQL to embed instead of the wheel's")
    postgres_port: Port = Field(0, description="port of the embedded PostgreSQL on 127.0.0.1; 0: a free one")

    # Broker, as its client.
    mqtt_url: SecretStr | None = Field(None, description="mqtt[s]://user:password@host:port; empty: embedded")
    mqtt_password_file: Path | None = Field(None, description="file whose first line is the broker password")
    mqtt_ca_file: Path | None = Field(
        None, description="PEM of who signs the broker's certificate; empty: the system's"
    )
    mqtt_cert_file: Path | None = Field(None, description="PEM of the centre's client certificate")
    mqtt_key_file: Path | None = Field(None, description="PEM of that certificate's key")
    mqtt_pinned_cert_file: Path | None = Field(
        None, description="PEM of the very certificate that the broker must show, whatever name it bears"
    )
    mqtt_client_id: SecretStr | None = Field(
        None, description="the centre's client id; whoever knows it can take its session. Empty: made once, kept secret"
    )
    mqtt_in_flight: PositiveInt = Field(10_000, description="messages taken and not yet acknowledged, at most")

    # Broker, embedded.
    mqtt_host: str = Field(
        "127.0.0.1", description="address the embedded broker listens on; others than loopback need TLS"
    )
    mqtt_port: Port | None = Field(
        None, description="port of the embedded broker; 0: a free one; empty: last time's, else 1883, else a free one"
    )
    mqtt_tls_cert_file: Path | None = Field(None, description="PEM of the embedded broker's certificate (turns TLS on)")
    mqtt_tls_key_file: Path | None = Field(None, description="PEM of that certificate's key")
    mqtt_tls_client_ca_file: Path | None = Field(
        None, description="PEM of who signs devices' certificates (then required)"
    )
    mqtt_device_password: SecretStr | None = Field(
        None, description="allows one login `device` for everything outside; for tests and closed networks"
    )
    mqtt_ack_wait_s: PositiveFloat = Field(
        5.0, description="s after which the broker repeats what was not acknowledged"
    )
    mqtt_store_gib: PositiveFloat = Field(20.0, description="GiB the embedded broker may keep while nobody reads")

    # Console.
    http_host: str = Field("127.0.0.1", description="address of the console and the API")
    http_port: Port = Field(0, description="port of the console; 0: a free one, printed")
    http_tls_cert_file: Path | None = Field(None, description="PEM of the console's certificate (turns TLS on)")
    http_tls_key_file: Path | None = Field(None, description="PEM of that certificate's key")
    http_behind_proxy: bool = Field(
        False, description="a proxy of yours does TLS before the console and says who asks (X-Forwarded-For)"
    )
    http_proxy_addresses: str = Field(
        "127.0.0.1,::1", description="addresses or networks of that proxy; what others say of themselves does not count"
    )
    http_live_clients: PositiveInt = Field(500, description="WebSocket clients at once, at most")
    session_hours: PositiveFloat = Field(12.0, description="hours after which a sign-in ends: a shift and its handover")
    session_idle_minutes: PositiveFloat = Field(
        30.0, description="minutes without a request or a live page that end a sign-in"
    )

    # Ingest.
    batch_messages: PositiveInt = Field(2_000, description="messages after which a batch is closed")
    batch_ms: PositiveInt = Field(30, description="ms after which a batch is closed")
    unregistered_limit: int = Field(20_000, ge=0, description="equipment no register knows, taken in at most")
    quarantine_rows: PositiveInt = Field(
        100_000, description="unreadable messages kept at most, the oldest leave first"
    )
    quarantine_days: PositiveInt = Field(30, description="days that unreadable messages are kept")
    checkpoint_s: PositiveFloat = Field(60.0, description="s between two checkpoints of the detectors' state")

    # History.
    history_days: PositiveInt = Field(90, description="days that samples are kept")
    compress_after_days: PositiveInt = Field(7, description="days after which TimescaleDB compresses samples")
    rollup_days: PositiveInt = Field(1_500, description="days that hourly figures are kept (four years and some)")

    # Detection.
    thresholds: dict[str, float] = Field(
        default_factory=dict, description="thresholds of protocol §7 that differ from the defaults, by name"
    )
    profiles_file: Path | None = Field(None, description="TOML table of makers' profiles, added to the built-in ones")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 the names are upstream's
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the TOML file."""
        sources = [init_settings, env_settings]
        if path := os.environ.get("TIWEI_CONFIG"):
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=path))
        return tuple(sources)

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("no such time zone") from error
        return value

    @field_validator("database_url")
    @classmethod
    def _database_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        return _with_scheme(value, "postgresql", "postgres")

    @field_validator("mqtt_url")
    @classmethod
    def _mqtt_scheme(cls, value: SecretStr | None) -> SecretStr | None:
        return _with_scheme(value, "mqtt", "mqtts")

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        for cert, key in (
            ("mqtt_cert_file", "mqtt_key_file"),
            ("mqtt_tls_cert_file", "mqtt_tls_key_file"),
            ("http_tls_cert_file", "http_tls_key_file"),
        ):
            if (getattr(self, cert) is None) != (getattr(self, key) is None):
                raise ValueError(f"{PREFIX}{cert.upper()} and {PREFIX}{key.upper()} go together")
        for part in ("database", "mqtt"):
            if getattr(self, f"{part}_password_file") and getattr(self, f"{part}_url") is None:
                raise ValueError(
                    f"{PREFIX}{part.upper()}_PASSWORD_FILE is for a {PREFIX}{part.upper()}_URL, there is none"
                )
        if self.mqtt_tls_client_ca_file and not (self.mqtt_tls_cert_file and self.mqtt_cert_file):
            raise ValueError(
                f"{PREFIX}MQTT_TLS_CLIENT_CA_FILE wants a certificate from every client: also set "
                f"{PREFIX}MQTT_TLS_CERT_FILE (the broker's) and {PREFIX}MQTT_CERT_FILE (the centre's)"
            )
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The centre's time zone."""
        return ZoneInfo(self.timezone)

    def database_dsn(self) -> str | None:
        """The URL of the external database, with the password of `database_password_file` where there is one."""
        return _with_password(self.database_url, self.database_password_file)

    def mqtt_dsn(self) -> str | None:
        """The URL of the external broker, with the password of `mqtt_password_file` where there is one."""
        return _with_password(self.mqtt_url, self.mqtt_password_file)

    @property
    def listens_wide(self) -> bool:
        """Whether the embedded broker can be reached from other machines."""
        return not _loopback(self.mqtt_host)


def read_settings(**overrides: Any) -> Settings:
    """Settings from the environment and the file; `overrides` win.

    Raises:
        SettingsError: a value or a name is wrong; the message names the setting and never shows a secret.
    """
    file = os.environ.get("TIWEI_CONFIG")
    if file and not Path(file).is_file():
        raise SettingsError(f"TIWEI_CONFIG names no file: {file}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise SettingsError("; ".join(_spoken(dict(one)) for one in error.errors())) from None
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from error
    except NoJsonError as error:
        raise SettingsError(f"{error} (a table is written as JSON)") from None


def unknown_names() -> list[str]:
    """`TIWEI_...` variables that are no setting: most likely misspelt, worth a warning."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    ours = (name for name in os.environ if name.startswith(PREFIX) and not name.startswith(NOT_SETTINGS))
    return sorted(name for name in ours if name not in known)


def refuse_insecure(settings: Settings) -> None:
    """Outside the demo nothing starts with what only a demo may have.

    Raises:
        SettingsError: the broker listens to the network without TLS, or a password is an example or too short.
    """
    if settings.mqtt_url is None and settings.listens_wide and settings.mqtt_tls_cert_file is None:
        raise SettingsError(
            f"TIWEI_MQTT_HOST={settings.mqtt_host} listens to the network: "
            "set TIWEI_MQTT_TLS_CERT_FILE and TIWEI_MQTT_TLS_KEY_FILE, or stay on 127.0.0.1"
        )
    device = settings.mqtt_device_password
    if (
        device is not None
        and settings.mqtt_url is None
        and settings.listens_wide
        and len(device.get_secret_value()) < LEAST_PASSWORD
    ):
        raise SettingsError(f"TIWEI_MQTT_DEVICE_PASSWORD lets the network in: at least {LEAST_PASSWORD} characters")
    for name in ("database_url", "mqtt_url"):
        url = getattr(settings, name)
        parts = urlsplit(url.get_secret_value()) if url else None
        if parts and parts.password and not _loopback(parts.hostname or "") and _example(parts.password):
            raise SettingsError(f"the password in {PREFIX}{name.upper()} is an example: choose another")


def refuse_open_console(settings: Settings) -> None:
    """Passwords and sessions never go over a network in the clear.

    Raises:
        SettingsError: the console listens to the network without TLS, its own or a proxy's.
    """
    if _loopback(settings.http_host) or settings.http_tls_cert_file is not None or settings.http_behind_proxy:
        return
    raise SettingsError(
        f"TIWEI_HTTP_HOST={settings.http_host} listens to the network: set TIWEI_HTTP_TLS_CERT_FILE and"
        " TIWEI_HTTP_TLS_KEY_FILE, or TIWEI_HTTP_BEHIND_PROXY where a proxy does TLS, or stay on 127.0.0.1"
    )


def _example(password: str) -> bool:
    return password.lower() in EXAMPLE_PASSWORDS


def _with_scheme(value: SecretStr | None, *schemes: str) -> SecretStr | None:
    if value is None or not value.get_secret_value():
        return None
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in schemes or not (parts.hostname or "host=" in parts.query):
        raise ValueError(f"must read {schemes[0]}://user:password@host:port")
    return value


def _with_password(url: SecretStr | None, file: Path | None) -> str | None:
    if url is None or file is None:
        return url.get_secret_value() if url else None
    try:
        password = file.read_text().splitlines()[0].strip()
    except (OSError, IndexError) as error:
        raise SettingsError(f"{file}: no password can be read from it ({error})") from None
    parts = urlsplit(url.get_secret_value())
    place = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(parts.username or 'tiwei')}:{quote(password, safe='')}@{place}").geturl()


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _spoken(error: dict[str, Any]) -> str:
    names = [str(one) for one in error["loc"]]
    text = str(error["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{'.'.join(names).upper()}: {text}" if names else text
