"""A reading (one sample of state) as a row of a numpy structured array.

Unknown is -1 in the small integer fields, `FLOOR_UNKNOWN` for the floor and NaN in the float fields: neither 0 nor 1,
so that a rule that asks for either is not met (protocol §1: a missing field means *unknown*).
"""

from __future__ import annotations

import numpy as np

#: car_position when the sample did not carry one.
FLOOR_UNKNOWN = -(2**31)
#: seq when the sample did not carry one (protocol §1: "no `seq` counts as -1").
SEQ_NONE = -1

#: `flags` bits.
BROKEN_CLOCK = 1  # `ts` was > 24 h ahead or > 31 d behind: `time_ms` is the receive time
CLOCK_SET = 4  # the device's clock was set before it, or its terminal started again
HISTORY = 2  # came more than 3 s after a newer one: stored, changes nothing of the present

#: One sample of a lift, escalator or walkway (moving -> car_status, direction -> car_direction).
READING = np.dtype(
    [
        ("number", "<i4"),  # Equipment.number
        ("received_ms", "<i8"),  # receiver's clock
        ("time_ms", "<i8"),  # device's clock corrected by its estimated offset; history is partitioned by it
        ("ts", "<i8"),  # device's clock as sent
        ("seq", "<i8"),  # SEQ_NONE when absent
        ("run_count", "<i8"),  # -1 unknown
        ("car_position", "<i4"),
        ("speed_mps", "<f4"),
        ("position_m", "<f4"),
        ("load_kg", "<f4"),
        ("service_mode", "i1"),
        ("car_status", "i1"),
        ("car_direction", "i1"),
        ("door_zone", "i1"),
        ("door_closed", "i1"),
        ("passenger", "i1"),
        ("power", "i1"),
        ("flags", "u1"),
    ]
)
