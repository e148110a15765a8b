"""The data folder: whose it is, who uses it now, and the secrets kept in it.

lock          held (flock) by the process that runs the embedded parts; holds its pid
format        the layout's version
client_id     the centre's MQTT client id, 128 random bits: who knows it can take the centre's session
accounts.json logins of devices, gateways, firms (see `adapters.accounts`)
postgres/     the database: `cluster`, `password`, `port`, `log`
nats/         the broker: `nats.conf`, `jetstream`, `port`, `log`
"""

from __future__ import annotations

import fcntl
import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitor.domain.errors import RefusedError, UnavailableError

#: Version of this layout; a folder with a greater one was made by a newer Tiwei.
FORMAT = 1


class DataFolder:
    """The folder of one centre on this machine.

    Opening creates it when it is not there and changes nothing when it is somebody else's or newer.

    Raises:
        RefusedError: it belongs to another user, was made by a newer Tiwei, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None
        _check(path)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check(path)
            mark = path / "format"
            if not mark.exists():
                write_private(mark, f"{FORMAT}\n")
        except OSError as error:
            raise RefusedError(
                f"data folder {path}: {error.strerror}; set TIWEI_DATA_DIR to a folder that you can write"
            ) from error

    def lock(self) -> None:
        """Hold the folder for this process until it ends or unlocks; nobody else can run its parts meanwhile.

        Raises:
            UnavailableError: another process holds it.
        """
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(handle, 32, 0).decode(errors="replace").strip() or "?"
            os.close(handle)
            raise UnavailableError(
                f"data folder {self.path} is in use by process {holder}: one centre, one folder; "
                "set TIWEI_DATA_DIR to another one for a second centre"
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._lock = handle

    def unlock(self) -> None:
        """Let others run the parts. The kernel does the same when the process dies."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def in_use(self) -> bool:
        """Whether some process, this one too, runs the parts of this folder now."""
        if self._lock is not None:
            return True
        try:
            self.lock()
        except UnavailableError:
            return True
        self.unlock()
        return False

    def subfolder(self, name: str) -> Path:
        """A folder of that name in the data folder, made when it is not there."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def secret(self, name: str, length: int = 16) -> str:
        """The secret kept under that name: `length` random bytes in hex, made once."""
        path = self.path / name
        if not path.exists():
            write_private(path, secrets.token_hex(length) + "\n")
        return read_private(path)


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read, in one step: whoever reads it sees the old text or the new one whole."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def read_private(path: Path) -> str:
    """The text of a small file of ours, without surrounding space.

    Raises:
        RefusedError: it cannot be read, or is empty.
    """
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusedError(f"{path}: {error}") from error
    if not text:
        raise RefusedError(f"{path} is empty; restore it from a copy")
    return text


@contextmanager
def refusing_os_errors(what: str) -> Iterator[None]:
    """Raises RefusedError for what the system denies: no right to change the user, a full disk, a file gone."""
    try:
        yield
    except OSError as error:
        raise RefusedError(f"{what} cannot be started: {error}") from error


def user_name(uid: int) -> str:
    """A user's name for a message, the bare number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _check(path: Path) -> None:
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:
        return
    except OSError as error:
        raise RefusedError(f"data folder {path}: {error.strerror}; set TIWEI_DATA_DIR to one of your own") from error
    if not path.is_dir():
        raise RefusedError(f"data folder {path} is not a folder")
    if owner != os.geteuid():
        raise RefusedError(
            f"data folder {path} belongs to {user_name(owner)}, this is {user_name(os.geteuid())}: "
            "run as its owner, or set TIWEI_DATA_DIR to a folder of your own"
        )
    mark = path / "format"
    if mark.exists():
        _check_format(path, read_private(mark))


def _check_format(path: Path, written: str) -> None:
    if not written.isdecimal():
        raise RefusedError(
            f"data folder {path}: its file `format` reads {written[:20]!r}; this is no folder of Tiwei's"
        )
    if int(written) > FORMAT:
        raise RefusedError(
            f"data folder {path} was made by a newer Tiwei (format {written}, this one knows {FORMAT}): update Tiwei"
        )
