"""The register of equipment in memory: numbers for identifiers, and a bounded list of what no register knows."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.domain.equipment import Equipment, EquipmentKind


class Register:
    """Equipment by identifier and by number.

    `free` is the range [first, last] of numbers that may be given to equipment first seen on the wire; at most
    `unregistered_limit` of them are taken in, so that a broken gateway cannot fill the centre with inventions.
    """

    def __init__(
        self,
        equipment: Iterable[Equipment] = (),
        *,
        free: tuple[int, int] = (1, 2**31 - 2),
        unregistered_limit: int = 20_000,
    ) -> None:
        self.by_id: dict[str, Equipment] = {}
        self.by_number: dict[int, Equipment] = {}
        self._next, self._last = free
        self._unregistered_left = unregistered_limit
        self._new: list[Equipment] = []
        #: Counts replacements of equipment already known, so that what was remembered about it can be dropped.
        self.revision = 0
        for one in equipment:
            self.add(one)

    def add(self, one: Equipment) -> None:
        """Take in or replace one equipment; its number is the database's and never changes."""
        known = self.by_id.get(one.equipment_id)
        if known is not None:
            self.revision += 1
            self._unregistered_left += not known.registered
        self.by_id[one.equipment_id] = one
        self.by_number[one.number] = one
        if not one.registered:
            self._unregistered_left -= 1
        if self._next <= one.number <= self._last:
            self._next = one.number + 1

    def number_of(self, equipment_id: str, division: str, kind: EquipmentKind) -> int | None:
        """The number of `equipment_id`; unknown equipment gets one, None when the bound is reached."""
        known = self.by_id.get(equipment_id)
        if known is not None:
            return known.number
        if self._unregistered_left <= 0 or self._next > self._last:
            return None
        one = Equipment(number=self._next, equipment_id=equipment_id, division=division, kind=kind, registered=False)
        self.add(one)
        self._new.append(one)
        return one.number

    def take_new(self) -> tuple[Equipment, ...]:
        """Equipment met since the last call, to be stored with the batch that brought it."""
        new, self._new = tuple(self._new), []
        return new
