"""Tiwei 梯卫: a 96333 lift safety monitoring centre."""

__version__ = "0.1.0"
