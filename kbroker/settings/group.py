"""The settings of a group (resource type GROUP, KIP-848, KIP-932, KIP-1071)."""

from __future__ import annotations

from .setting import BOOLEAN, INT, LIST, STRING, Setting

# fmt: off
ROWS = (
    Setting("consumer.assignment.interval.ms", INT, "1000", synonym="group.consumer.assignment.interval.ms"),
    Setting("consumer.heartbeat.interval.ms", INT, "5000", synonym="group.consumer.heartbeat.interval.ms"),
    Setting("consumer.session.timeout.ms", INT, "45000", synonym="group.consumer.session.timeout.ms"),
    Setting("errors.deadletterqueue.copy.record.enable", BOOLEAN, "false"),
    Setting("errors.deadletterqueue.topic.name", STRING, ""),
    Setting("share.assignment.interval.ms", INT, "1000", synonym="group.share.assignment.interval.ms"),
    Setting("share.auto.offset.reset", STRING, "latest"),
    Setting("share.delivery.count.limit", INT, "5", synonym="group.share.delivery.count.limit"),
    Setting("share.heartbeat.interval.ms", INT, "5000", synonym="group.share.heartbeat.interval.ms"),
    Setting("share.isolation.level", STRING, "read_uncommitted"),
    Setting("share.partition.max.record.locks", INT, "2000", synonym="group.share.partition.max.record.locks"),
    Setting("share.record.lock.duration.ms", INT, "30000", synonym="group.share.record.lock.duration.ms"),
    Setting("share.renew.acknowledge.enable", BOOLEAN, "true"),
    Setting("share.session.timeout.ms", INT, "45000", synonym="group.share.session.timeout.ms"),
    Setting("streams.assignment.interval.ms", INT, "1000", synonym="group.streams.assignment.interval.ms"),
    Setting("streams.assignor.name", STRING, "sticky", synonym="group.streams.assignors"),
    Setting("streams.heartbeat.interval.ms", INT, "5000", synonym="group.streams.heartbeat.interval.ms"),
    Setting("streams.initial.rebalance.delay.ms", INT, "3000", synonym="group.streams.initial.rebalance.delay.ms"),
    Setting("streams.num.standby.replicas", INT, "0", synonym="group.streams.num.standby.replicas"),
    Setting("streams.rack.aware.assignment.tags", LIST, "", synonym="group.streams.rack.aware.assignment.tags"),
    Setting("streams.session.timeout.ms", INT, "45000", synonym="group.streams.session.timeout.ms"),
)
