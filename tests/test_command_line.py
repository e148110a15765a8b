"""The command line: what is imported, how it fails."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from monitor.__main__ import COMMANDS, main

#: Demanded: `tiwei replay` starts in half a second; it may import nothing of these.
HEAVY = ("pydantic", "asyncpg", "aiomqtt", "paho", "uvloop", "rich", "structlog", "asyncio")
START_S = 0.5


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "monitor", *words], capture_output=True, text=True, check=False)


def test_every_command_exists() -> None:
    assert [module for _, module, _ in COMMANDS if find_spec(module) is None] == []


@pytest.mark.parametrize("name", [name for name, _, _ in COMMANDS])
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"tiwei {name}" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("tiwei ")


def test_replay_imports_nothing_heavy_and_starts_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    code = f"""
import sys
from monitor.__main__ import main
assert main(["replay", {str(tmp_path / "empty.jsonl")!r}]) == 0
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    times = []
    for _ in range(5):
        began = time.monotonic()
        assert run("replay", str(tmp_path / "empty.jsonl")).returncode == 0
        times.append(time.monotonic() - began)
    assert min(times) < START_S


@pytest.mark.parametrize("words", [(), ("no-such-command",), ("up", "--no-such-option")])
def test_a_wrong_argument_is_status_2(words: tuple[str, ...]) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert "usage: tiwei" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_is_refused_is_one_line_and_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIWEI_DATA_DIR", str(tmp_path / "file"))
    (tmp_path / "file").write_text("")
    done = run("device", "list")
    assert done.returncode == 1
    assert done.stderr == f"tiwei: data folder {tmp_path / 'file'} is not a folder\n"


def test_a_wrong_setting_is_one_line_and_status_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIWEI_MQTT_PORT", "many")
    done = run("device", "list")
    assert done.returncode == 2
    assert done.stderr.startswith("tiwei: TIWEI_MQTT_PORT")
    assert len(done.stderr.splitlines()) == 1


def test_a_reader_that_went_away_is_no_stack_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIWEI_DATA_DIR", str(tmp_path / "centre"))
    for number in range(3):
        assert run("device", "add", f"L{number}").returncode == 0
    done = subprocess.run(
        f"{sys.executable} -u -m monitor device list | true", shell=True, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
