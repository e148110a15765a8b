"""Administrative divisions (行政区划): six digits in pairs of province, prefecture and county."""

from __future__ import annotations


def division_prefix(code: str) -> str:
    """What the codes of all divisions within `code` begin with; trailing pairs of zeros stand for everything.

    `310000` gives `31`, `310100` gives `3101`, `310101` itself; `000000` gives the empty text, the whole country.
    """
    while code.endswith("00"):
        code = code[:-2]
    return code


def lies_within(code: str | None, prefix: str | None) -> bool:
    """Whether a division lies within `prefix` (None: everywhere); an unknown division lies nowhere else."""
    return prefix is None or (code is not None and code.startswith(prefix))
