"""Pure detection: what is wrong with an equipment, seen in its samples, events and silence.

The same rule code runs on numpy columns (many equipments at once) and on plain Python numbers (one equipment):
it only uses comparison, arithmetic, `&`, `|`, `^ True` and the `where`/`minimum`/`maximum` it is handed.
"""
