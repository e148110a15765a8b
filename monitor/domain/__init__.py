"""Pure domain: what exists and what may happen. No I/O, no clock."""
