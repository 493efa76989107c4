"""Broker settings: transactions and idempotent producers."""

from __future__ import annotations

from .setting import BOOLEAN, CLUSTER_WIDE, INT, SHORT, Range, Setting

# fmt: off
ROWS = (
    Setting("add.partitions.to.txn.retry.backoff.max.ms", INT, "100", Range(0)),
    Setting("add.partitions.to.txn.retry.backoff.ms", INT, "20", Range(1)),
    Setting("producer.id.expiration.ms", INT, "86400000", Range(1), update=CLUSTER_WIDE, acts=True,
            doc="The state of an idempotent producer is forgotten this long after its last batch."),
    Setting("producer.purgatory.purge.interval.requests", INT, "1000"),
    Setting("transaction.abort.timed.out.transaction.cleanup.interval.ms", INT, "10000", Range(1),
            doc="How often the broker looks for transactions past their timeout."),
    Setting("transaction.max.timeout.ms", INT, "900000", Range(1), acts=True,
            doc="The longest transaction timeout that InitProducerId accepts."),
    Setting("transaction.partition.verification.enable", BOOLEAN, "true", update=CLUSTER_WIDE, acts=True,
            doc="Whether a partition is checked to be part of the transaction before records are added."),
    Setting("transaction.remove.expired.transaction.cleanup.interval.ms", INT, "3600000", Range(1)),
    Setting("transaction.state.log.load.buffer.size", INT, "5242880", Range(1)),
    Setting("transaction.state.log.min.isr", INT, "2", Range(1), acts=True,
            doc="min.insync.replicas of __transaction_state."),
    Setting("transaction.state.log.num.partitions", INT, "50", Range(1), acts=True,
            doc="Partitions of __transaction_state."),
    Setting("transaction.state.log.replication.factor", SHORT, "3", Range(1), acts=True,
            doc="Replicas of __transaction_state."),
    # Kafka starts with less, and then can not create the topic.
    Setting("transaction.state.log.segment.bytes", INT, "104857600", Range(1048576), acts=True,
            doc="Segment size of __transaction_state in bytes."),
    Setting("transaction.two.phase.commit.enable", BOOLEAN, "false",
            doc="Whether InitProducerId may ask for a transaction without timeout (KIP-939)."),
    Setting("transactional.id.expiration.ms", INT, "604800000", Range(1), acts=True,
            doc="A transactional id that is not used for this long is forgotten."),
)
