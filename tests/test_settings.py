"""Settings: where they come from, what is refused, and that no secret shows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.domain.errors import SettingsError
from monitor.settings import Settings, read_settings, refuse_insecure, unknown_names

SECRET = "never-to-be-seen"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TIWEI_")]:
        monkeypatch.delenv(name)


def test_nothing_needs_to_be_set() -> None:
    settings = read_settings()
    assert settings.database_dsn() is None
    assert settings.mqtt_dsn() is None
    assert settings.mqtt_device_password is None
    refuse_insecure(settings)


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "tiwei.toml"
    file.write_text("http_port = 1\nmqtt_port = 2\n[thresholds]\noverspeed_ratio = 1.2\n")
    monkeypatch.setenv("TIWEI_CONFIG", str(file))
    monkeypatch.setenv("TIWEI_MQTT_PORT", "3")
    settings = read_settings()
    assert (settings.http_port, settings.mqtt_port, settings.thresholds) == (1, 3, {"overspeed_ratio": 1.2})


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIWEI_DATABASE_URL", "")
    monkeypatch.setenv("TIWEI_MQTT_PORT", "")
    settings = read_settings()
    assert settings.database_url is None
    assert settings.mqtt_port is None


def test_data_lives_where_the_user_finds_it_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    expected = Path("/var/lib/tiwei") if os.geteuid() == 0 else tmp_path / ".local/share/tiwei"
    assert read_settings().data_dir == expected
    monkeypatch.setenv("TIWEI_DATA_DIR", "relative")
    assert read_settings().data_dir == Path.cwd() / "relative"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TIWEI_MQTT_PORT", "many", "TIWEI_MQTT_PORT"),
        ("TIWEI_MQTT_PORT", "70000", "TIWEI_MQTT_PORT"),
        ("TIWEI_TIMEZONE", "Asia/Nowhere", "TIWEI_TIMEZONE: no such time zone"),
        ("TIWEI_DATABASE_URL", f"mysql://u:{SECRET}@h/d", "TIWEI_DATABASE_URL"),
        ("TIWEI_MQTT_URL", f"http://u:{SECRET}@h", "TIWEI_MQTT_URL"),
        ("TIWEI_MQTT_URL", "mqtt://", "TIWEI_MQTT_URL"),
        ("TIWEI_THRESHOLDS", "{", "thresholds"),
        ("TIWEI_HISTORY_DAYS", "0", "TIWEI_HISTORY_DAYS"),
        ("TIWEI_CONFIG", "/nowhere/tiwei.toml", "/nowhere/tiwei.toml"),
        ("TIWEI_MQTT_CERT_FILE", "c.pem", "TIWEI_MQTT_KEY_FILE"),
        ("TIWEI_MQTT_PASSWORD_FILE", "p", "TIWEI_MQTT_URL"),
    ],
)
def test_a_wrong_value_is_named_and_no_secret_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        read_settings()
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["no_such_setting = 1\n", "http_port = \n"])
def test_a_wrong_file_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    (tmp_path / "tiwei.toml").write_text(text)
    monkeypatch.setenv("TIWEI_CONFIG", str(tmp_path / "tiwei.toml"))
    with pytest.raises(SettingsError):
        read_settings()


def test_a_misspelt_variable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIWEI_MQTT_PROT", "1")
    monkeypatch.setenv("TIWEI_TEST_TIMESCALE_DSN", "x")
    assert unknown_names() == ["TIWEI_MQTT_PROT"]


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIWEI_DATABASE_URL", f"postgresql://u:{SECRET}@h/d")
    monkeypatch.setenv("TIWEI_MQTT_DEVICE_PASSWORD", SECRET)
    settings = read_settings()
    assert SECRET not in repr(settings)
    assert SECRET not in settings.model_dump_json()
    assert SECRET in str(settings.database_dsn())


def test_a_password_comes_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p/w@x\n")
    monkeypatch.setenv("TIWEI_DATABASE_URL", "postgresql://centre@[::1]:5432/d?sslmode=require")
    monkeypatch.setenv("TIWEI_DATABASE_PASSWORD_FILE", str(tmp_path / "password"))
    assert read_settings().database_dsn() == "postgresql://centre:p%2Fw%40x@[::1]:5432/d?sslmode=require"
    (tmp_path / "password").write_text("")
    with pytest.raises(SettingsError, match="no password"):
        read_settings().database_dsn()


@pytest.mark.parametrize(
    "env",
    [
        {"TIWEI_MQTT_HOST": "0.0.0.0"},
        {"TIWEI_MQTT_HOST": "::"},
        {"TIWEI_MQTT_HOST": "lifts.example"},
        {"TIWEI_DATABASE_URL": "postgresql://tiwei:CHANGE_ME@db.example/tiwei"},
        {"TIWEI_MQTT_URL": "mqtt://centre:secret@broker.example"},
        {
            "TIWEI_MQTT_HOST": "0.0.0.0",
            "TIWEI_MQTT_TLS_CERT_FILE": "c",
            "TIWEI_MQTT_TLS_KEY_FILE": "k",
            "TIWEI_MQTT_DEVICE_PASSWORD": "short",
        },
    ],
)
def test_what_is_insecure_does_not_start(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError):
        refuse_insecure(read_settings())


@pytest.mark.parametrize(
    "env",
    [
        {"TIWEI_MQTT_HOST": "127.0.0.2"},
        {"TIWEI_MQTT_HOST": "localhost", "TIWEI_MQTT_DEVICE_PASSWORD": "x"},
        {"TIWEI_DATABASE_URL": "postgresql://tiwei:tiwei@127.0.0.1/tiwei"},
        {"TIWEI_MQTT_HOST": "0.0.0.0", "TIWEI_MQTT_TLS_CERT_FILE": "c", "TIWEI_MQTT_TLS_KEY_FILE": "k"},
    ],
)
def test_what_stays_on_this_machine_or_has_tls_may_start(monkeypatch: pytest.MonkeyPatch, env: dict[str, str]) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    refuse_insecure(read_settings())
