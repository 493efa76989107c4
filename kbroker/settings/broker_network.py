"""Broker settings: listeners, connections, requests."""

from __future__ import annotations

from .setting import CLUSTER_WIDE, INT, LIST, LONG, PER_BROKER, STRING, NonEmpty, Range, Setting

# fmt: off
ROWS = (
    Setting("advertised.listeners", LIST, None, NonEmpty(), acts=True),
    Setting("connections.max.idle.ms", LONG, "600000", acts=True),
    Setting("fetch.max.bytes", INT, "57671680", Range(1024), acts=True),
    Setting("inter.broker.listener.name", STRING, None, acts=True),
    Setting("listener.security.protocol.map", STRING, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", update=PER_BROKER, acts=True),
    Setting("listeners", LIST, "PLAINTEXT://:9092", NonEmpty(), update=PER_BROKER, acts=True),
    Setting("max.connection.creation.rate", INT, "2147483647", Range(0), update=CLUSTER_WIDE),
    Setting("max.connections", INT, "2147483647", Range(0), update=CLUSTER_WIDE, acts=True),
    Setting("max.connections.per.ip", INT, "2147483647", Range(0), update=CLUSTER_WIDE, acts=True),
    Setting("max.connections.per.ip.overrides", STRING, "", update=CLUSTER_WIDE, acts=True),
    Setting("max.incremental.fetch.session.cache.slots", INT, "1000", Range(0), acts=True),
    Setting("max.request.partition.size.limit", INT, "2000", Range(1), acts=True),
    Setting("num.io.threads", INT, "8", Range(1), update=CLUSTER_WIDE),
    Setting("num.network.threads", INT, "3", Range(1), update=CLUSTER_WIDE),
    Setting("queued.max.request.bytes", LONG, "-1"),
    Setting("queued.max.requests", INT, "500", Range(1)),
    Setting("request.timeout.ms", INT, "30000"),
    Setting("socket.connection.setup.timeout.max.ms", LONG, "30000"),
    Setting("socket.connection.setup.timeout.ms", LONG, "10000"),
    Setting("socket.listen.backlog.size", INT, "50", Range(1), acts=True),
    Setting("socket.receive.buffer.bytes", INT, "102400", acts=True),
    Setting("socket.request.max.bytes", INT, "104857600", Range(1), acts=True),
    Setting("socket.send.buffer.bytes", INT, "102400", acts=True),
)
