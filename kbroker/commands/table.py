"""Columns for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .cluster import TopicPartition

Cell = str | int | None
NOTHING = "-"  # as Kafka's tools print it
GAP = "  "


def table(headers: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Lines of cells under their headers; a column of nothing but numbers is aligned to the right."""
    rows = list(rows)
    texts = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *texts, strict=True)]
    numbers = [
        any(isinstance(cell, int) for cell in column) and not any(isinstance(cell, str) for cell in column)
        for column in zip(*rows, strict=True)
    ] or [False] * len(headers)
    lines = [
        GAP.join(
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in [list(headers), *texts]
    ]
    return "\n".join(lines)


def shown(cell: Cell) -> str:
    """Without what could move a terminal's cursor: names and client ids are chosen by whoever connects."""
    if cell is None or cell == "":
        return NOTHING
    text = str(cell)
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def compact(partitions: Iterable[TopicPartition]) -> str:
    """As --topic takes them: "orders:0,1 other:7"."""
    topics: dict[str, list[str]] = {}
    for topic, partition in sorted(partitions):
        topics.setdefault(topic, []).append(str(partition))
    return " ".join(f"{topic}:{','.join(indexes)}" for topic, indexes in topics.items())
