"""What the WebSocket says, as frames: each made once for everybody who may see the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from api.answers import encoded, iso
from api.live_protocol import text_frame
from monitor.adapters.feed import Change, Topic
from monitor.domain.access import Scope


class Telling:
    """One committed change as frames, by scope."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._body: dict[str, Any] | None = None
        self._frames: dict[Scope, bytes | None] = {}

    def frame(self, scope: Scope) -> bytes | None:
        """What somebody of that scope is told; None: nothing of it is in sight."""
        if scope not in self._frames:
            text = self._text(scope)
            self._frames[scope] = None if text is None else self._made(text)
        return self._frames[scope]

    def _made(self, body: str) -> bytes:
        change = self._change
        head = (
            f'{{"type":"change","cursor":{change.position},"at":"{iso(change.at_ms)}","topic":"{change.topic}","body":'
        )
        return text_frame(f"{head}{body}}}".encode())

    def _text(self, scope: Scope) -> str | None:
        """The body as JSON, without what is out of sight."""
        change = self._change
        if scope.whole:
            return change.text
        if change.topic is Topic.REGISTRY:
            # Whose they are is not in the line: who sees a part only looks again.
            return '{"equipment_ids":[]}'
        if change.topic is Topic.STATES:
            if self._body is None:
                self._body = change.body
            seen = [one for one in self._body["states"] if scope.covers(one["division"], one["firm_id"])]
            return json.dumps({"states": seen}, ensure_ascii=False, separators=(",", ":")) if seen else None
        return change.text if scope.covers(change.division, change.firm_id) else None


def beat(now_ms: int, position: int | None, centre: Mapping[str, Any]) -> bytes:
    """A sign of life; `position`: everything up to there was told, None where the listener has not begun."""
    told = {"type": "beat", "at": iso(now_ms), "centre": centre}
    return text_frame(encoded(told if position is None else {**told, "cursor": position}))


def resumed(now_ms: int, position: int) -> bytes:
    """The changes after `position` follow."""
    return text_frame(encoded({"type": "resumed", "cursor": position, "at": iso(now_ms)}))


def snapshot_head(now_ms: int, position: int, centre: Mapping[str, Any], parts: Mapping[str, Any]) -> bytes:
    """The beginning of a snapshot: what is open and the first piece of the equipment."""
    return text_frame(encoded({"type": "snapshot", "cursor": position, "at": iso(now_ms), "centre": centre, **parts}))


def equipment(piece: Sequence[Mapping[str, Any]]) -> bytes:
    """A further piece of the equipment."""
    return text_frame(encoded({"type": "equipment", "equipment": piece}))


def ready(position: int) -> bytes:
    """The snapshot is whole; changes after `position` follow."""
    return text_frame(encoded({"type": "ready", "cursor": position}))


def reading(equipment_id: str, readings: Sequence[Mapping[str, Any]]) -> bytes:
    """Samples of a watched equipment, as committed."""
    return text_frame(encoded({"type": "reading", "equipment_id": equipment_id, "readings": readings}))
