"""Databases on every kind of server for the adapters' tests, and one with a monitor's store."""

from __future__ import annotations

from tests.adapters.casework import centre
from tests.databases import each_database, each_server, each_url, hypertable_server

__all__ = ["centre", "each_database", "each_server", "each_url", "hypertable_server"]
