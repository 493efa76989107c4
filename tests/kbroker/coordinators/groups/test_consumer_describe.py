"""A consumer group as administrators see it."""

from __future__ import annotations

from consumer_story import Story
from kbroker.coordinators.groups.consumer_describe import describe
from kbroker_wire.messages.consumer_group_describe import (
    CONSUMER_MEMBER,
    NOT_ASKED,
    Assignment,
    Member,
    TopicPartitions,
)

T = b"_______________t"


def has(*partitions: int) -> Assignment:
    rows = [TopicPartitions(topic_id=T, topic_name="t", partitions=list(partitions))] if partitions else []
    return Assignment(topic_partitions=rows)


def test_a_member_is_shown_with_what_it_has_and_what_it_shall_have() -> None:
    story = Story()
    story("0 join a instance=i rack=r regex=x topics=u,t")
    story("0 join b")
    story("1 beat a")
    shown = describe(story.group(), "uniform", story.image)
    assert (shown.group_id, shown.group_state, shown.group_epoch, shown.assignment_epoch) == ("g", "Reconciling", 3, 3)
    assert (shown.assignor_name, shown.authorized_operations) == ("uniform", NOT_ASKED)
    assert shown.members[0] == Member(
        member_id="a",
        instance_id="i",
        rack_id="r",
        member_epoch=2,
        client_id="a",
        client_host="/127.0.0.1",
        subscribed_topic_names=["t", "u"],
        subscribed_topic_regex="x",
        assignment=has(0, 1, 2, 3),  # two of them it is told to give up
        target_assignment=has(0, 1),
        member_type=CONSUMER_MEMBER,
    )
    assert shown.members[1].assignment == has()


def test_topics_that_are_gone_are_left_out() -> None:
    story = Story()
    story("0 join a")
    story("1 drop t")
    assert describe(story.group(), "uniform", story.image).members[0].assignment == has()


def test_states_follow_the_epochs() -> None:
    story = Story(group_consumer_assignment_interval_ms="1000")
    shown = []
    for command in ("0 join a", "0.1 join b", "1 beat b", "2 beat a", "2 beat a", "3 beat b", "4 leave a", "4 leave b"):
        story(command)
        shown.append(story.group().state_name)
    assert shown == [
        "Stable",
        "Assigning",
        "Reconciling",
        "Reconciling",
        "Reconciling",
        "Stable",
        "Assigning",
        "Empty",
    ]
