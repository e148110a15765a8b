"""What `tiwei device` and `tiwei firm` share: accounts added, listed, removed, and taken over by the running broker."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection
from pathlib import Path

from monitor.adapters.accounts import FILE, Accounts, Role
from monitor.adapters.embedded.folder import DataFolder
from monitor.adapters.embedded.nats import fingerprint
from monitor.domain.errors import RefusedError, SettingsError, UnavailableError
from monitor.settings import Settings

#: The running broker looks for changes twice a second; reading 100,000 accounts again takes it seconds.
_TAKE_OVER_S = 30.0


def add_accounts(
    settings: Settings, names: Collection[str], role: Role, *, equipment: Collection[str] = (), replace: bool = False
) -> None:
    """Make accounts and print their passwords: the bare password for one, `NAME PASSWORD` lines for several."""
    folder = DataFolder(settings.data_dir)
    accounts = Accounts(folder.path / FILE)
    for name in names:
        password = accounts.add(name, role, equipment=equipment, replace=replace)
        print(password if len(names) == 1 else f"{name} {password}", flush=True)
    _say(f"login: the {role}'s name; the password is shown this once")
    _hand_over(settings, folder, accounts)


def remove_accounts(settings: Settings, names: Collection[str], roles: Collection[Role]) -> None:
    """Take accounts away."""
    folder = DataFolder(settings.data_dir)
    accounts = Accounts(folder.path / FILE)
    for name in names:
        accounts.remove(name, roles)
    _hand_over(settings, folder, accounts)


def list_accounts(settings: Settings, roles: Collection[Role]) -> None:
    """One line an account: name, role, for a gateway its equipment, separated by tabs."""
    for one in Accounts(DataFolder(settings.data_dir).path / FILE).read().values():
        if one.role in roles:
            print("\t".join((one.name, one.role, ",".join(one.equipment))).rstrip())


def read_names(file: Path) -> list[str]:
    """Names in a text file, separated by white space or commas; what follows a `#` is a remark.

    Raises:
        SettingsError: it cannot be read.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from error
    return [name for line in lines for name in line.partition("#")[0].replace(",", " ").split()]


def _hand_over(settings: Settings, folder: DataFolder, accounts: Accounts) -> None:
    """Wait until the running broker of ours knows the accounts; say what to do about one that is not ours."""
    if settings.mqtt_url is not None:
        _say("TIWEI_MQTT_URL names a broker of your own: `tiwei device export` writes what it has to know")
        return
    if not folder.in_use():
        _say("the broker does not run; it will know this when it starts")
        return
    applied, wanted = folder.path / "nats" / "applied", fingerprint(accounts.path)
    deadline = time.monotonic() + _TAKE_OVER_S
    while time.monotonic() < deadline:
        try:
            if applied.read_text() == wanted:
                return
        except FileNotFoundError:
            pass
        except OSError as error:
            raise RefusedError(f"{applied}: {error.strerror}") from error
        time.sleep(0.05)
    raise UnavailableError(
        f"stored, but the running broker did not take it over within {_TAKE_OVER_S:.0f} s; see its log"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)
