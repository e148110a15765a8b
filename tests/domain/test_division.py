"""Divisions: which lies within which."""

from __future__ import annotations

import pytest

from monitor.domain.division import division_prefix, lies_within


@pytest.mark.parametrize(
    ("code", "prefix"),
    [
        ("310000", "31"),
        ("310100", "3101"),
        ("310101", "310101"),
        ("311000", "3110"),
        ("000000", ""),
        ("320500", "3205"),
    ],
)
def test_trailing_pairs_of_zeros_stand_for_everything(code: str, prefix: str) -> None:
    assert division_prefix(code) == prefix


def test_what_lies_within() -> None:
    assert lies_within("310101", division_prefix("310000"))
    assert lies_within("310101", division_prefix("310101"))
    assert not lies_within("320500", division_prefix("310000"))
    assert lies_within(None, None)
    assert not lies_within(None, "31")
