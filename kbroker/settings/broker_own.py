"""Broker settings: kbroker's own."""

from __future__ import annotations

from .setting import STRING, OneOf, Setting

ROWS = (
    Setting(
        "kbroker.cluster.id",
        STRING,
        None,
        acts=True,
        doc="The cluster this broker belongs to: a new data folder gets this id, another cluster's folder is refused.",
    ),
    Setting(
        "kbroker.durability",
        STRING,
        "synced",
        OneOf("synced", "relaxed"),
        acts=True,
        doc="synced: an acks=all answer means the bytes are on disk; relaxed: it survives a killed process, not more.",
    ),
    Setting(
        "kbroker.validate",
        STRING,
        "header",
        OneOf("header", "records"),
        acts=True,
        doc="header: a batch is checked by its header and its CRC; records: each of its records is decoded.",
    ),
)
