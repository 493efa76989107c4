"""Broker settings: kbroker's own."""

from __future__ import annotations

from .setting import STRING, OneOf, Setting

# fmt: off
ROWS = (
    Setting("kbroker.durability", STRING, "synced", OneOf("synced", "relaxed"), acts=True,
            doc="synced: an acks=all answer means the bytes are on disk. relaxed: they are with the operating system, which "
                "survives a killed process but not a power cut; this is what Apache Kafka does by default."),
    Setting("kbroker.validate", STRING, "header", OneOf("header", "records"), acts=True,
            doc="header: a produced batch is checked by its 61 header bytes and its CRC. records: every record is decoded, too."),
)
