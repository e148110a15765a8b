"""Secrets of the console and the API: made here, kept only as hashes.

Passwords are hashed with argon2id, slow on purpose; what has 256 random bits (sessions, tokens, tickets) with SHA-256.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from monitor.domain.errors import RefusedError

#: Characters of a password that a person chooses, at least and at most.
LEAST_PASSWORD = 12
MOST_PASSWORD = 256
#: OWASP's choice for servers: 19 MiB and some 20 ms of one core. RFC 9106's 64 MiB on four threads would take both
#: cores of a small centre from the telemetry, while names are locked and addresses throttled after a few attempts.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE = 2


def new_secret() -> str:
    """256 random bits as 43 characters."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> bytes:
    """What is kept of a secret of `new_secret`."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()


def csrf_of(session_secret: str) -> str:
    """The word that unsafe requests of a session must carry: not to be had without the session's secret."""
    return hashlib.sha256(b"csrf " + session_secret.encode("utf-8", "replace")).hexdigest()


def new_password() -> str:
    """A password of 120 random bits that can be read out and typed: no letters that look alike."""
    alphabet = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(alphabet) for _ in range(6)) for _ in range(4))


def password_hash(password: str) -> str:
    """Argon2id of a password; takes some 20 ms.

    Raises:
        RefusedError: it is too short or too long.
    """
    if not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        raise RefusedError(f"a password has {LEAST_PASSWORD} to {MOST_PASSWORD} characters")
    return _HASHER.hash(_octets(password))


class Passwords:
    """Compares passwords off the event loop, a few at a time, and as slowly where there is nothing to compare with."""

    def __init__(self) -> None:
        self._nobody: str | None = None
        self._free = asyncio.Semaphore(_AT_ONCE)

    async def fits(self, password: str, known: str | None) -> bool:
        """Whether `password` is that of the hash `known`; None: of nobody's, which takes as long and is False."""
        async with self._free:
            if self._nobody is None:
                self._nobody = await asyncio.to_thread(_HASHER.hash, new_secret())
            right = await asyncio.to_thread(_verified, known or self._nobody, _octets(password[:MOST_PASSWORD]))
            return right and known is not None


def _octets(password: str) -> bytes:
    return password.encode("utf-8", "replace")


def _verified(known: str, password: bytes) -> bool:
    try:
        return _HASHER.verify(known, password)
    except (VerificationError, InvalidHashError):
        return False
