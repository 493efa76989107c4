"""Transactions: producers that add partitions themselves and those of KIP-890, markers, isolation, offsets, fencing."""

import pytest
from raw_kafka.batches import read_batches
from raw_kafka.calls import NONE, create_topic, fetch, list_offset, unique_name
from raw_kafka.group_calls import Producer, committed, eventually, settled, told

ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, INVALID_PRODUCER_EPOCH, INVALID_TXN_STATE, UNKNOWN_PRODUCER = 22, 25, 47, 48, 49
TRANSACTIONAL_ID_NOT_FOUND, UNSTABLE_OFFSET_COMMIT, PRODUCER_FENCED, ABORTABLE = 105, 88, 90, 120
CONTROL, COMMITTED = 0x30, 1
NO_PRODUCER = (-1, -1)


@pytest.fixture
def name():
    return unique_name("transaction")


@pytest.fixture
def topic(groups):
    return create_topic(groups)


@pytest.fixture
def producer(groups, name):
    return Producer(groups, name)


def values(part):
    """What a reader of committed records keeps of an answer, and where each aborted producer begins."""
    found, _ = read_batches(part.records)
    aborted = sorted((each.first_offset, each.producer_id) for each in part.aborted_transactions or ())
    gone, kept = set(), []
    for batch in found:
        while aborted and aborted[0][0] <= batch.last_offset:
            gone.add(aborted.pop(0)[1])
        if batch.attributes & CONTROL == CONTROL:
            gone.discard(batch.producer_id)
        elif batch.producer_id not in gone:
            kept += batch.values
    return kept


class TestPartitions:
    @pytest.mark.parametrize(("version", "code"), [(3, INVALID_TXN_STATE), (10, INVALID_TXN_STATE), (11, ABORTABLE)])
    def test_old_producers_must_add_them(self, version, code, producer, topic):
        refused = producer.write(topic, version=version)
        assert (refused.error_code, refused.base_offset) == (code, -1)
        if version == 10:
            assert refused.error_message == "Partition was not added to the transaction"
        assert producer.add(topic) == NONE
        assert producer.write(topic, version=version).error_code == NONE

    @pytest.mark.parametrize("version", [12, 13])
    def test_new_producers_add_them_by_writing(self, version, producer, topic):
        assert producer.write(topic, version=version).error_code == NONE
        state = producer.state()
        assert (state.error_code, state.transaction_state) == (NONE, "Ongoing")
        assert [(each.topic, each.partitions) for each in state.topics] == [(topic.name, [0])]


class TestEnd:
    def test_readers_of_committed_records_wait_for_it(self, groups, producer, topic):
        producer.write(topic, b"a")
        part = fetch(groups, topic, 0, isolation_level=COMMITTED)
        assert (part.last_stable_offset, part.high_watermark, values(part)) == (0, 1, [])
        assert fetch(groups, topic, 0).aborted_transactions is None
        producer.end(commit=True)
        part = fetch(groups, topic, 0, isolation_level=COMMITTED)
        assert (part.last_stable_offset, part.high_watermark, values(part)) == (2, 2, [b"a"])

    def test_what_is_aborted_is_named(self, groups, producer, topic):
        producer.write(topic, b"a")
        number = producer.id
        producer.end(commit=False)
        part = fetch(groups, topic, 0, isolation_level=COMMITTED)
        assert [(each.producer_id, each.first_offset) for each in part.aborted_transactions] == [(number, 0)]
        assert values(part) == []
        assert len(read_batches(part.records)[0]) == 2  # the records and the marker are there to be dropped

    def test_the_marker_bears_the_next_epoch(self, groups, producer, topic):
        producer.write(topic, b"a")
        answer = producer.end(commit=False)
        assert (answer.error_code, answer.producer_epoch) == (NONE, 1)
        (_, marker), _ = read_batches(fetch(groups, topic, 0).records)
        assert (marker.attributes, marker.producer_epoch, marker.base_sequence) == (CONTROL, 1, -1)
        assert marker.records[0].key == b"\0\0\0\0"
        assert marker.records[0].value is not None
        assert marker.records[0].value[:2] == b"\0\0"

    def test_old_producers_keep_their_epoch(self, groups, producer, topic):
        producer.add(topic)
        producer.write(topic, b"a", version=9)
        assert producer.end(commit=True, version=3).error_code == NONE
        (_, marker), _ = read_batches(fetch(groups, topic, 0).records)
        assert (marker.producer_epoch, marker.records[0].key) == (0, b"\0\0\0\1")
        assert producer.end(commit=True, version=3).error_code == NONE  # what has happened
        assert producer.end(commit=False, version=3).error_code == INVALID_TXN_STATE

    def test_a_repeated_request_is_answered_as_the_first(self, groups, producer, topic):
        producer.write(topic, b"a")
        asked = {"transactional_id": producer.name, "producer_id": producer.id, "producer_epoch": 0}
        producer.end(commit=True)
        again = told(lambda: groups.call("EndTxn", 5, **asked, committed=True))
        assert (again.error_code, again.producer_epoch) == (NONE, 1)
        other = told(lambda: groups.call("EndTxn", 5, **asked, committed=False))
        assert (other.error_code, other.producer_id, other.producer_epoch) == (INVALID_TXN_STATE, *NO_PRODUCER)

    @pytest.mark.parametrize("version", range(6))
    def test_of_an_unknown_producer(self, version, groups, producer, name):
        asked = {"transactional_id": unique_name("nobody"), "producer_id": producer.id, "producer_epoch": 0}
        assert groups.call("EndTxn", version, **asked, committed=True).error_code == UNKNOWN_PRODUCER
        asked = {"transactional_id": name, "producer_id": producer.id + 10**9, "producer_epoch": 0}
        assert groups.call("EndTxn", version, **asked, committed=True).error_code == UNKNOWN_PRODUCER

    @pytest.mark.parametrize("version", range(5))
    def test_of_a_transaction_that_has_not_begun(self, version, producer):
        assert producer.end(commit=True, version=version).error_code == INVALID_TXN_STATE

    def test_offsets_are_found_by_isolation(self, groups, producer, topic):
        producer.write(topic, b"a")

        def latest(level):
            asked = [{"name": topic.name, "partitions": [{"partition_index": 0, "timestamp": -1}]}]
            answer = groups.call("ListOffsets", 5, replica_id=-1, isolation_level=level, topics=asked)
            return answer.topics[0].partitions[0].offset

        assert (latest(0), latest(COMMITTED)) == (1, 0)
        producer.end(commit=True)
        assert (latest(0), latest(COMMITTED), list_offset(groups, topic, -1).offset) == (2, 2, 2)


class TestFencing:
    @pytest.mark.parametrize("version", [11, 12])
    def test_a_second_producer_ends_what_the_first_began(self, version, groups, name, topic):
        first = Producer(groups, name)
        if version == 11:
            first.add(topic)
        first.write(topic, b"a", version=version)
        second = Producer(groups, name)
        assert (second.id, second.epoch > first.epoch) == (first.id, True)
        part = eventually(
            lambda: fetch(groups, topic, 0, isolation_level=COMMITTED), lambda part: part.last_stable_offset == 2
        )
        assert values(part) == []
        assert first.write(topic, b"b", sequence=1, version=version).error_code == INVALID_PRODUCER_EPOCH
        assert first.end(commit=True).error_code == PRODUCER_FENCED
        assert first.add(topic) == PRODUCER_FENCED
        assert second.write(topic, b"c").error_code == NONE

    def test_a_producer_may_ask_for_its_next_epoch(self, groups, name, producer):
        asked = {"transactional_id": name, "transaction_timeout_ms": 60_000, "producer_id": producer.id}
        renewed = groups.call("InitProducerId", 5, **asked, producer_epoch=producer.epoch)
        assert (renewed.error_code, renewed.producer_id, renewed.producer_epoch) == (NONE, producer.id, 1)
        refused = groups.call("InitProducerId", 5, **asked, producer_epoch=9)
        assert refused.error_code == PRODUCER_FENCED


class TestOffsets:
    @pytest.mark.parametrize("version", range(7))
    def test_they_count_when_the_transaction_ends(self, version, groups, producer, topic):
        group = unique_name("group")
        if version < 5:
            assert producer.commit_offset(group, topic, 5, version=version) != NONE
            assert producer.add_offsets(group) == NONE
        assert producer.commit_offset(group, topic, 5, version=version) == NONE
        wanted = [(topic, [0])]
        (pending,) = committed(groups, group, wanted, stable=True).topics[0].partitions
        assert (pending.error_code, pending.committed_offset) == (UNSTABLE_OFFSET_COMMIT, -1)
        (before,) = committed(groups, group, wanted).topics[0].partitions
        assert (before.error_code, before.committed_offset) == (NONE, -1)
        producer.end(commit=True, version=5 if version >= 5 else 4)
        (after,) = committed(groups, group, wanted, stable=True).topics[0].partitions
        assert (after.error_code, after.committed_offset) == (NONE, 5)

    def test_aborted_ones_are_forgotten(self, groups, producer, topic):
        group = unique_name("group")
        producer.commit_offset(group, topic, 5)
        producer.end(commit=False)
        (after,) = committed(groups, group, [(topic, [0])], stable=True).topics[0].partitions
        assert (after.error_code, after.committed_offset) == (NONE, -1)

    def test_a_member_must_be_one(self, groups, producer, topic):
        group = unique_name("group")
        member = settled(groups, group)
        for who, generation, code in (
            (member, 1, NONE),
            (member, 2, ILLEGAL_GENERATION),
            ("stranger", 1, UNKNOWN_MEMBER_ID),
            ("", -1, NONE),
        ):
            said = {"member_id": who, "generation_id_or_member_epoch": generation}
            assert producer.commit_offset(group, topic, 5, **said) == code


class TestAdministration:
    def test_transactions_are_described(self, groups, producer, topic):
        producer.write(topic)
        (known, unknown) = groups.call(
            "DescribeTransactions", 0, transactional_ids=[producer.name, unique_name("nobody")]
        ).transaction_states
        assert (known.producer_id, known.producer_epoch, known.transaction_timeout_ms) == (producer.id, 0, 60_000)
        assert unknown.error_code == TRANSACTIONAL_ID_NOT_FOUND

    def test_transactions_are_listed(self, groups, producer, topic):
        def found(version=2, **filters):
            answer = groups.call("ListTransactions", version, **filters)
            return {each.transactional_id: each.transaction_state for each in answer.transaction_states}.get(
                producer.name
            )

        assert found() == "Empty"
        producer.write(topic)
        assert found(state_filters=["Ongoing"], producer_id_filters=[producer.id]) == "Ongoing"
        assert found(state_filters=["Empty"]) is None
        assert found(duration_filter=10**9) is None
        assert found(transactional_id_pattern=f"{producer.name}.*") == "Ongoing"
        assert found(transactional_id_pattern="no-such-.*") is None
        answer = groups.call("ListTransactions", 2, state_filters=["nonsense"])
        assert answer.unknown_state_filters == ["nonsense"]

    def test_an_administrator_ends_a_transaction_that_hangs(self, groups, producer, topic):
        producer.write(topic)
        asked = [{"name": topic.name, "partition_indexes": [0]}]
        (active,) = groups.call("DescribeProducers", 0, topics=asked).topics[0].partitions[0].active_producers
        assert (active.producer_id, active.last_sequence, active.current_txn_start_offset) == (producer.id, 0, 0)
        marker = {"producer_id": producer.id, "producer_epoch": 0, "transaction_result": False, "topics": asked}
        answer = groups.call("WriteTxnMarkers", 1, markers=[{**marker, "coordinator_epoch": 0}])
        assert answer.markers[0].topics[0].partitions[0].error_code == NONE
        (active,) = groups.call("DescribeProducers", 0, topics=asked).topics[0].partitions[0].active_producers
        assert active.current_txn_start_offset == -1
        assert fetch(groups, topic, 0, isolation_level=COMMITTED).last_stable_offset == 2
