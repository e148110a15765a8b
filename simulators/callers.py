"""People who ring the centre about a lift that holds somebody (payloads of protocol §5)."""

from __future__ import annotations

import json
import random
from typing import Any

from simulators.network import Line


class Callers:
    """Calls about real entrapments; `share` of them are rung in (0: nobody rings)."""

    def __init__(self, rng: random.Random, *, division: str, share: float) -> None:
        self._rng = rng
        self._division = division
        self._share = share

    def ring(self, line: Line, at_ms: int, *, rescue_code: str, persons: int) -> None:
        """Somebody rings at `at_ms`; a seat answers and takes it down."""
        rng = self._rng
        if rng.random() >= self._share:
            return
        call_id = f"C{rescue_code}-{at_ms // 1000}"
        source = rng.choice(("phone", "phone", "car_button", "qr"))
        answered = at_ms + rng.randint(3_000, 22_000)
        ended = answered + rng.randint(45_000, 150_000)
        opening = {"direction": "in", "source": source, "rescue_code": rescue_code}
        self._tell(line, call_id, at_ms, "offered", {**opening, "caller": f"1{rng.randrange(3 * 10**9, 10**10):010d}"})
        self._tell(line, call_id, answered, "answered", {**opening, "operator": f"96333-{rng.randint(1, 9):02d}"})
        outcome = {**opening, "type": "entrapment", "trapped": persons, "text": f"电梯困人，{persons}人"}
        self._tell(line, call_id, ended, "ended", outcome)

    def _tell(self, line: Line, call_id: str, at_ms: int, event: str, more: dict[str, Any]) -> None:
        payload = json.dumps({"ts": at_ms, "event": event, **more}, ensure_ascii=False, separators=(",", ":"))
        line.post(at_ms + 40, f"calls/v1/{self._division}/{call_id}", payload)
