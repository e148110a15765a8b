"""Parameters that several lists have."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

Division = Annotated[
    str | None, Query(pattern=r"^[0-9]{6}$", description="6 digits; trailing pairs of zeros stand for everything")
]
Firm = Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,32}$")]
Limit = Annotated[int, Query(ge=1, le=500)]
Cursor = Annotated[str | None, Query(max_length=400, description="`next` of the page before")]
Moment = Annotated[str | None, Query(max_length=40, description="a date, or an instant as RFC 3339")]
EquipmentId = Annotated[str | None, Query(max_length=64)]
