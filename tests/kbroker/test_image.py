"""The image: replaying the metadata log, all at once or record by record, and deltas that leave nothing out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbroker.metadata.image import (
    BROKER_RESOURCE,
    NO_CHANGE,
    TOPIC_RESOURCE,
    Delta,
    Endpoint,
    Image,
    PartitionImage,
)
from kbroker_wire.messages.metadata import MetadataRequest
from kbroker_wire.messages.metadata_records import (
    BrokerEndpoint,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    FeatureLevelRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
    UnregisterBrokerRecord,
)


def topic_id(number):
    return bytes(15) + bytes([number])


def topic_record(number):
    return TopicRecord(name=f"topic-{number}", topic_id=topic_id(number))


def partition_record(number, index, leader=1):
    return PartitionRecord(
        partition_id=index,
        topic_id=topic_id(number),
        replicas=[leader, leader + 1],
        isr=[leader],
        removing_replicas=[],
        adding_replicas=[],
        leader=leader,
        leader_epoch=0,
        partition_epoch=0,
        directories=[bytes(16), bytes(16)],
    )


def change_record(number, index, **changes):
    return PartitionChangeRecord(partition_id=index, topic_id=topic_id(number), **changes)


def broker_record(number, epoch=5, fenced=False):
    endpoint = BrokerEndpoint(name="PLAINTEXT", host=f"host-{number}", port=9092, security_protocol=0)
    return RegisterBrokerRecord(
        broker_id=number,
        incarnation_id=bytes([number]) * 16,
        broker_epoch=epoch,
        end_points=[endpoint],
        features=[],
        rack=None,
        fenced=fenced,
        log_dirs=[bytes([number]) * 16],
    )


def config_record(name, key, value, kind=TOPIC_RESOURCE):
    return ConfigRecord(resource_type=kind, resource_name=name, name=key, value=value)


@st.composite
def histories(draw):
    """Metadata records in an order that a controller may write them."""
    partitions, brokers, records, next_topic = {}, set(), [], 0
    for _ in range(draw(st.integers(0, 30))):
        kinds = ["topic", "broker", "config", "feature", "producer ids", "no-op"]
        kinds += ["partition", "remove"] if partitions else []
        kinds += ["change"] if any(partitions.values()) else []
        kinds += ["fence", "unregister"] if brokers else []
        kind = draw(st.sampled_from(kinds))
        if kind == "topic":
            partitions[next_topic] = 0
            records.append(topic_record(next_topic))
            next_topic += 1
        elif kind == "partition":
            number = draw(st.sampled_from(sorted(partitions)))
            records.append(partition_record(number, partitions[number]))
            partitions[number] += 1
        elif kind == "change":
            number = draw(st.sampled_from([each for each in sorted(partitions) if partitions[each]]))
            index = draw(st.integers(0, partitions[number] - 1))
            leader = draw(st.sampled_from([NO_CHANGE, -1, 1, 2]))
            records.append(change_record(number, index, leader=leader, isr=draw(st.sampled_from([None, [1], [1, 2]]))))
        elif kind == "remove":
            number = draw(st.sampled_from(sorted(partitions)))
            del partitions[number]
            records.append(RemoveTopicRecord(topic_id=topic_id(number)))
        elif kind == "config":
            name = f"topic-{draw(st.integers(0, max(0, next_topic - 1)))}"
            value = draw(st.sampled_from([None, "1", "2"]))
            records.append(config_record(name, draw(st.sampled_from(["a", "b"])), value))
        elif kind == "broker":
            number = draw(st.integers(1, 3))
            brokers.add(number)
            records.append(broker_record(number, epoch=len(records)))
        elif kind == "fence":
            number = draw(st.sampled_from(sorted(brokers)))
            change = BrokerRegistrationChangeRecord(broker_id=number, broker_epoch=0, fenced=draw(st.integers(-1, 1)))
            records.append(change)
        elif kind == "unregister":
            number = draw(st.sampled_from(sorted(brokers)))
            brokers.discard(number)
            records.append(UnregisterBrokerRecord(broker_id=number, broker_epoch=0))
        elif kind == "feature":
            level = draw(st.integers(0, 2))
            records.append(FeatureLevelRecord(name="metadata.version", feature_level=level))
        elif kind == "producer ids":
            records.append(ProducerIdsRecord(broker_id=1, broker_epoch=0, next_producer_id=1000 * len(records)))
        else:
            records.append(NoOpRecord())
    return records


def replay_one_by_one(records):
    image, deltas = Image(), []
    for offset, record in enumerate(records):
        image, delta = image.replay([record], offset)
        deltas.append(delta)
    return image, deltas


@given(histories())
def test_replaying_all_at_once_gives_what_replaying_one_by_one_gives(records):
    at_once, _ = Image().replay(records, 0)
    one_by_one, _ = replay_one_by_one(records)
    assert at_once == one_by_one


@given(histories(), st.integers(0, 30))
def test_replay_leaves_the_image_before_it_as_it_was(records, cut):
    before, _ = Image().replay(records[:cut], 0)
    copy, _ = Image().replay(records[:cut], 0)
    before.replay(records[cut:], cut)
    assert before == copy


@given(histories(), st.integers(0, 30))
def test_a_delta_names_everything_that_differs(records, cut):
    before, _ = Image().replay(records[:cut], 0)
    after, delta = before.replay(records[cut:], cut)
    for each in before.topics.keys() | after.topics.keys():
        if before.topics.get(each) != after.topics.get(each):
            assert each in (delta.topics if each in after.topics else delta.removed)
    assert delta.topics <= after.topics.keys()
    for number in before.brokers.keys() | after.brokers.keys():
        assert before.brokers.get(number) == after.brokers.get(number) or number in delta.brokers
    removed = {(TOPIC_RESOURCE, topic.name) for topic in delta.removed.values()}
    for resource in before.configs.keys() | after.configs.keys():
        same = before.config(*resource) == after.config(*resource)
        assert same or resource in delta.configs or resource in removed
    assert before.features == after.features or delta.features


@given(histories())
def test_names_and_ids_of_topics_agree(records):
    image, _ = Image().replay(records, 0)
    assert {topic.name: each for each, topic in image.topics.items()} == image.topic_ids
    assert all(image.topic(name).id == each for name, each in image.topic_ids.items())


# -- single records


def test_a_new_leader_raises_the_leader_epoch_and_another_isr_only_the_partition_epoch():
    image, _ = Image().replay([topic_record(1), partition_record(1, 0)], 0)
    image, delta = image.replay([change_record(1, 0, isr=[1, 2])], 2)
    assert image.topic("topic-1").partitions == (PartitionImage((1, 2), (1, 2), 1, 0, 1, (bytes(16), bytes(16))),)
    assert delta == Delta(topics={topic_id(1)})
    image, _ = image.replay([change_record(1, 0, leader=2)], 3)
    [partition] = image.topic("topic-1").partitions
    assert (partition.leader, partition.leader_epoch, partition.partition_epoch) == (2, 1, 2)


def test_partitions_come_in_order():
    image, _ = Image().replay([topic_record(1)], 0)
    with pytest.raises(ValueError, match="partition 1 follows 0 partitions"):
        image.replay([partition_record(1, 1)], 1)


def test_a_topic_that_is_removed_takes_its_configs_with_it_and_its_name_is_free_again():
    image, _ = Image().replay([topic_record(1), config_record("topic-1", "retention.ms", "5")], 0)
    again = TopicRecord(name="topic-1", topic_id=topic_id(9))
    image, delta = image.replay([RemoveTopicRecord(topic_id=topic_id(1)), again], 2)
    assert image.topic("topic-1").id == topic_id(9)
    assert image.config(TOPIC_RESOURCE, "topic-1") == {}
    assert (list(delta.removed), delta.topics) == ([topic_id(1)], {topic_id(9)})


def test_a_config_of_none_takes_the_value_away():
    image, _ = Image().replay([config_record("1", "a", "x", BROKER_RESOURCE), config_record("1", "b", "y", 4)], 0)
    image, delta = image.replay([config_record("1", "a", None, BROKER_RESOURCE)], 2)
    assert image.config(BROKER_RESOURCE, "1") == {"b": "y"}
    assert delta.configs == {(BROKER_RESOURCE, "1")}


def test_a_broker_is_known_by_its_listeners_and_can_be_fenced():
    image, _ = Image().replay([broker_record(2)], 0)
    broker = image.brokers[2]
    assert broker.endpoints == (Endpoint("PLAINTEXT", "host-2", 9092),)
    assert broker.address("PLAINTEXT") == ("host-2", 9092)
    assert broker.address("OTHER") is None
    for fenced, expected in ((1, True), (0, True), (-1, False)):
        change = BrokerRegistrationChangeRecord(broker_id=2, broker_epoch=5, fenced=fenced)
        image, delta = image.replay([change], image.offset + 1)
        assert image.brokers[2].fenced is expected
        assert delta.brokers == {2}


def test_what_clients_see_as_the_features_epoch_is_the_offset_of_the_record():
    records = [NoOpRecord(), FeatureLevelRecord(name="metadata.version", feature_level=7), NoOpRecord()]
    image, delta = Image().replay(records, 10)
    assert (image.offset, image.features_offset, image.features) == (12, 11, {"metadata.version": 7})
    assert delta.features


def test_a_record_that_is_not_known_is_never_skipped():
    with pytest.raises(ValueError, match="does not know: MetadataRequest"):
        Image().replay([MetadataRequest(topics=None)], 0)
