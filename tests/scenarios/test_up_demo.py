"""`tiwei demo` as it is run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.commands._words import CHINESE
from monitor.domain.fault import FaultKind
from tests.waiting import until

#: Demanded: the first live fault is shown within 60 s.
FIRST_FAULT_S = 60.0


class Demo:
    """One `tiwei demo` with an empty home and its own folder for passing files."""

    def __init__(self, folder: Path) -> None:
        (folder / "tmp").mkdir()
        self.passing = folder / "tmp"
        self._out, self._err = folder / "out", folder / "err"
        env = {name: value for name, value in os.environ.items() if not name.startswith("TIWEI_")}
        env |= {"TMPDIR": str(self.passing), "HOME": str(folder), "PYTHONIOENCODING": "utf-8", "TIWEI_MQTT_PORT": "0"}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen([sys.executable, "-m", "monitor", "demo"], stdout=out, stderr=err, env=env)

    @property
    def ready(self) -> list[str]:
        return [json.loads(line)["ready"] for line in self._out.read_text().splitlines()]

    @property
    def shown(self) -> str:
        return self._err.read_text(encoding="utf-8")


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    one = Demo(tmp_path)
    yield one
    if one.process.poll() is None:
        one.process.send_signal(signal.SIGKILL)
    one.process.wait()


def test_the_first_fault_is_shown_within_a_minute_and_nothing_is_left(demo: Demo) -> None:
    until(lambda: "故障" in demo.shown or demo.process.poll() is not None, FIRST_FAULT_S)
    assert demo.process.poll() is None, demo.shown
    assert set(demo.ready) == {"database", "mqtt", "http"}
    until(lambda: re.search(r"http://127\.0\.0\.1:\d+  用户 user demo  密码 password [a-z0-9-]{20,}", demo.shown))
    line = next(line for line in demo.shown.splitlines() if "故障" in line)
    assert re.match(r"\d\d:\d\d:\d\d  故障 \S+ [a-z_]+  云溪县\S+  救援码 \d{6}", line)
    began = time.monotonic()
    demo.process.terminate()
    assert demo.process.wait(30) == 0
    assert time.monotonic() - began < 10
    assert not list(demo.passing.iterdir())
    assert "Traceback" not in demo.shown


def test_every_kind_of_fault_has_a_name() -> None:
    assert set(CHINESE) == {kind.value for kind in FaultKind}
    assert len(set(CHINESE.values())) == len(CHINESE)
