"""A deterministic town of lifts: it knows the wire (protocol §1 to §5, §8) and nothing of the centre.

`motion` and `car` are one lift's mechanics and terminal, `people` who uses it, `lift` its working life; `entrapments`,
`breakdowns`, `mains` and `routines` are what happens to it, `faults` how often; `network` stands between it and the
centre, `truth` keeps what really happened, `world` lets everything live in one heap of events. `output` writes it down,
`live` publishes it over `mqtt`, `load` sends throughput alone, `judge` holds a centre's output against the truth.
"""
