"""Reading a log that another process writes, line by line as it grows, over its rotation."""

from __future__ import annotations

from pathlib import Path

#: Most bytes taken in one go; a flood of lines is read over several goes.
_MOST = 1 << 20


class LogReader:
    """Whole lines written since the last call."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._path = path
        self._offset = offset
        self._rest = b""
        self._inode = self._now()[0]

    def lines(self) -> list[str]:
        """New lines, in order; at a rotation the last of the old file may be lost."""
        inode, size = self._now()
        if inode != self._inode or size < self._offset:
            self._inode, self._offset, self._rest = inode, 0, b""
        if size <= self._offset:
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            new = file.read(_MOST)
        self._offset += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        return [one.decode(errors="replace") for one in whole]

    def _now(self) -> tuple[int, int]:
        try:
            status = self._path.stat()
        except OSError:
            return 0, 0
        return status.st_ino, status.st_size
