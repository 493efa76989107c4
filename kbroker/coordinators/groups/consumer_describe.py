"""ConsumerGroupDescribe (KIP-848): a consumer group as administrators see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_describe import (
    CLASSIC_MEMBER,
    CONSUMER_MEMBER,
    Assignment,
    DescribedGroup,
    TopicPartitions,
)
from kbroker_wire.messages.consumer_group_describe import Member as DescribedMember

from ...metadata.image import Image
from .consumer_group import ConsumerGroup
from .consumer_member import Member


def describe(group: ConsumerGroup, default_assignor: str, image: Image) -> DescribedGroup:
    return DescribedGroup(
        error_code=ErrorCode.NONE,
        group_id=group.id,
        group_state=group.state_name,
        group_epoch=group.epoch,
        assignment_epoch=group.target_epoch,
        assignor_name=group.preferred_assignor() or default_assignor,
        members=[_member(group, member, image) for member in group.members.values()],
    )


def _member(group: ConsumerGroup, member: Member, image: Image) -> DescribedMember:
    """What it has contains what it still has to give up."""
    subscription, current = member.subscription, member.current
    has: dict[bytes, list[int]] = {}
    for assigned in (current.assigned, current.revoking):
        for topic_id, epochs in assigned.items():
            has.setdefault(topic_id, []).extend(epochs)
    return DescribedMember(
        member_id=member.id,
        instance_id=subscription.instance_id,
        rack_id=subscription.rack_id,
        member_epoch=current.epoch,
        client_id=subscription.client_id,
        client_host=subscription.client_host,
        subscribed_topic_names=sorted(subscription.topics),
        subscribed_topic_regex=subscription.regex,
        assignment=_assignment(has, image),
        target_assignment=_assignment(group.target_of(member), image),
        member_type=CLASSIC_MEMBER if member.is_classic else CONSUMER_MEMBER,
    )


def _assignment(partitions: Mapping[bytes, Iterable[int]], image: Image) -> Assignment:
    """Topics that are gone are left out: nobody knows their names any more."""
    return Assignment(
        topic_partitions=[
            TopicPartitions(
                topic_id=topic_id, topic_name=image.topics[topic_id].name, partitions=sorted(partitions[topic_id])
            )
            for topic_id in partitions
            if topic_id in image.topics
        ]
    )
