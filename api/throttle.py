"""How often one address may try to sign in: a bucket each, a bounded number of buckets."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

#: Attempts at once, and ms for each further one.
BURST = 20
EACH_MS = 6_000
ADDRESSES = 10_000
#: An IPv6 customer has a whole /64 to come from.
_V6_PREFIX = 64


@dataclass(slots=True)
class _Bucket:
    filled_ms: float
    at_ms: int


class Throttle:
    """Attempts by address. Of too many addresses the one that was not heard for longest is forgotten."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait_ms(self, address: str, now_ms: int) -> int:
        """Take one attempt; 0, or how many ms to wait where there is none left (then none is taken)."""
        key = _network(address)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(BURST * EACH_MS, now_ms)
            while len(self._buckets) > ADDRESSES:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        bucket.filled_ms = min(BURST * EACH_MS, bucket.filled_ms + max(0, now_ms - bucket.at_ms))
        bucket.at_ms = now_ms
        if bucket.filled_ms < EACH_MS:
            return int(EACH_MS - bucket.filled_ms) + 1
        bucket.filled_ms -= EACH_MS
        return 0


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if parsed.version == 4:
        return str(parsed)
    return str(ipaddress.ip_network((parsed, _V6_PREFIX), strict=False))
