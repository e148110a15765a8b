"""Figures as plain text that fits 80 columns, in a terminal and in a file alike."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lines of text: the first column to the left, the others to the right; two spaces between where there is room."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    gap = "  " if sum(widths) + 2 * len(widths) - 2 <= WIDTH else " "

    def line(cells: Sequence[str]) -> str:
        first, *others = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        return gap.join((first.strip().ljust(widths[0]), *others)).rstrip()

    rule = gap.join("-" * width for width in widths)
    return "\n".join((title, line(heads), rule, *map(line, rows)))
