"""Every threshold of the rules, with the default of protocol §7. Durations in ms; overrides use these names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

S = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Defaults of protocol §7; `*_ms` durations are on the device's clock unless the rule says otherwise."""

    belief_ms: float = 12 * S  # a sample is believed this long; one is due every 10 s
    entrapment_off_level_ms: float = 20 * S
    entrapment_at_level_ms: float = 60 * S
    passenger_dropout_ms: float = 5 * S  # flag gaps up to this do not restart the entrapment clock
    boarding_ms: float = 5 * S  # the flag may rise this long after the door closed
    nobody_ms: float = 30 * S
    lost_contact_ms: float = 60 * S  # receiver's clock
    sensor_stuck_ms: float = 900 * S
    sensor_stuck_openings: float = 6
    stopped_outside_ms: float = 10 * S
    overspeed_ratio: float = 1.15
    overspeed_clear_ratio: float = 1.05
    overrun_m: float = 0.2
    door_close_ms: float = 120 * S
    door_open_ms: float = 15 * S
    reopening_window_ms: float = 60 * S
    motor_run_ms: float = 30 * S
    motor_run_blind_ms: float = 60 * S  # where no position is sent
    floor_back_ms: float = 10 * S
    offline_ms: float = 120 * S  # receiver's clock
    offline_after_will_ms: float = 30 * S  # receiver's clock

    def overridden(self, overrides: Mapping[str, float]) -> Thresholds:
        """These thresholds with some values replaced.

        Raises:
            KeyError: a name that is no threshold.
        """
        if not overrides:
            return self
        known = {f.name for f in fields(self)}
        for name in overrides:
            if name not in known:
                raise KeyError(name)
        return replace(self, **{k: float(v) for k, v in overrides.items()})


#: Names in column order, for thresholds gathered per equipment.
THRESHOLD_NAMES: tuple[str, ...] = tuple(f.name for f in fields(Thresholds))
