"""Databases on every kind of server for the adapters' tests."""

from __future__ import annotations

from tests.databases import each_database, each_server, each_url, hypertable_server

__all__ = ["each_database", "each_server", "each_url", "hypertable_server"]
