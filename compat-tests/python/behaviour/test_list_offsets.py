"""ListOffsets (key 2) and OffsetForLeaderEpoch (key 23): offsets by time, by special numbers, by leader epoch."""

import pytest
from raw_kafka.batches import LZ4, Record, batch
from raw_kafka.calls import NONE, create_topic, list_offset, produce, unknown_topic

SERVER_ERROR, UNKNOWN_TOPIC_OR_PARTITION, UNSUPPORTED_VERSION, INVALID_REQUEST, UNKNOWN_LEADER_EPOCH = -1, 3, 35, 42, 75
LATEST, EARLIEST, MAX_TIMESTAMP, EARLIEST_LOCAL, LATEST_TIERED, EARLIEST_PENDING_UPLOAD = -1, -2, -3, -4, -5, -6
VERSIONS = range(1, 12)
T = 1_700_000_000_000


@pytest.fixture
def filled(connection, topic):
    """Offsets 0-5 with times T, T+10, T+20 | T+100, T+50 | T+30: the newest time is not at the end."""
    for start, deltas in ((T, (0, 10, 20)), (T, (100, 50)), (T + 30, (0,))):
        produce(connection, topic, batch([Record(timestamp_delta=delta) for delta in deltas], base_timestamp=start))
    return topic


def found(connection, topic, timestamp, version=11, **options):
    answer = list_offset(connection, topic, timestamp, version=version, **options)
    return answer.error_code, answer.offset, answer.timestamp


class TestSpecialNumbers:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_latest_and_earliest_in_every_version(self, version, connection, filled):
        assert found(connection, filled, LATEST, version) == (NONE, 6, -1)
        assert found(connection, filled, EARLIEST, version) == (NONE, 0, -1)
        if version >= 4:
            assert list_offset(connection, filled, LATEST, version=version).leader_epoch == 0

    @pytest.mark.parametrize("version", VERSIONS[6:])
    def test_the_record_with_the_largest_timestamp(self, version, connection, filled):
        assert found(connection, filled, MAX_TIMESTAMP, version) == (NONE, 3, T + 100)

    def test_the_largest_timestamp_of_an_empty_log(self, connection, topic):
        assert found(connection, topic, MAX_TIMESTAMP) == (NONE, -1, -1)

    def test_earliest_local(self, connection, filled):
        assert found(connection, filled, EARLIEST_LOCAL) == (NONE, 0, -1)

    def test_nothing_is_tiered(self, connection, filled):
        answer = list_offset(connection, filled, LATEST_TIERED, version=11)
        assert (answer.error_code, answer.offset, answer.timestamp, answer.leader_epoch) == (NONE, -1, -1, -1)

    def test_nothing_waits_to_be_tiered(self, connection, filled):
        assert found(connection, filled, EARLIEST_PENDING_UPLOAD) == (NONE, -1, -1)

    @pytest.mark.parametrize(
        ("version", "timestamp"),
        [
            (6, MAX_TIMESTAMP),
            (7, EARLIEST_LOCAL),
            (8, LATEST_TIERED),
            (10, EARLIEST_PENDING_UPLOAD),
            (11, -7),
            (1, -99),
        ],
    )
    def test_a_number_that_the_version_does_not_know(self, version, timestamp, connection, filled):
        assert found(connection, filled, timestamp, version) == (UNSUPPORTED_VERSION, -1, -1)

    def test_of_an_empty_log(self, connection, topic):
        assert found(connection, topic, LATEST) == (NONE, 0, -1)
        assert found(connection, topic, EARLIEST) == (NONE, 0, -1)

    @pytest.mark.parametrize("isolation_level", [0, 1])
    def test_latest_for_either_isolation_level(self, isolation_level, connection, filled):
        asked = [{"partition_index": 0, "timestamp": LATEST}]
        answer = connection.call(
            "ListOffsets",
            7,
            replica_id=-1,
            isolation_level=isolation_level,
            topics=[{"name": filled.name, "partitions": asked}],
        )
        assert answer.topics[0].partitions[0].offset == 6


class TestByTime:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_the_first_record_that_is_not_older(self, version, connection, filled):
        assert found(connection, filled, T + 5, version) == (NONE, 1, T + 10)

    @pytest.mark.parametrize(
        ("asked", "offset", "timestamp"),
        [(0, 0, T), (T, 0, T), (T + 10, 1, T + 10), (T + 20, 2, T + 20), (T + 21, 3, T + 100), (T + 100, 3, T + 100)],
    )
    def test_at_and_between_records(self, asked, offset, timestamp, connection, filled):
        assert found(connection, filled, asked) == (NONE, offset, timestamp)

    @pytest.mark.parametrize("asked", [T + 101, 10**15, 2**63 - 1])
    def test_later_than_everything(self, asked, connection, filled):
        answer = list_offset(connection, filled, asked, version=11)
        assert (answer.error_code, answer.offset, answer.timestamp, answer.leader_epoch) == (NONE, -1, -1, -1)

    def test_in_an_empty_log(self, connection, topic):
        assert found(connection, topic, 0) == (NONE, -1, -1)

    def test_inside_a_compressed_batch(self, connection, topic):
        records = [Record(b"x" * 50, timestamp_delta=delta) for delta in (0, 10, 20, 30)]
        produce(connection, topic, batch(records, base_timestamp=T, attributes=LZ4))
        assert found(connection, topic, T + 15) == (NONE, 2, T + 20)

    def test_across_many_batches(self, connection, topic):
        for number in range(50):
            produce(connection, topic, batch([b"x" * 200], base_timestamp=T + number))
        for number in (0, 1, 25, 49):
            assert found(connection, topic, T + number) == (NONE, number, T + number)

    def test_records_without_a_timestamp_are_older_than_any_time(self, connection, topic):
        produce(connection, topic, batch(base_timestamp=-1, max_timestamp=-1))
        produce(connection, topic, batch(base_timestamp=T))
        assert found(connection, topic, 0) == (NONE, 1, T)


class TestErrors:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_an_unknown_topic(self, version, connection):
        assert found(connection, unknown_topic(), LATEST, version) == (UNKNOWN_TOPIC_OR_PARTITION, -1, -1)

    @pytest.mark.parametrize("partition", [1, -1])
    def test_an_unknown_partition(self, partition, connection, filled):
        assert found(connection, filled, LATEST, partition=partition) == (UNKNOWN_TOPIC_OR_PARTITION, -1, -1)

    @pytest.mark.parametrize("version", [4, 7, 11])
    def test_a_leader_epoch_from_the_future(self, version, connection, filled):
        assert found(connection, filled, LATEST, version, epoch=5) == (UNKNOWN_LEADER_EPOCH, -1, -1)
        assert found(connection, filled, LATEST, version, epoch=0) == (NONE, 6, -1)

    @pytest.mark.parametrize("version", [2, 11])
    @pytest.mark.parametrize("isolation_level", [-1, 2])
    def test_an_isolation_level_that_does_not_exist(self, isolation_level, version, connection, filled, broker):
        asked = [{"name": filled.name, "partitions": [{"partition_index": 0, "timestamp": LATEST}]}]
        answer = connection.call("ListOffsets", version, replica_id=-1, isolation_level=isolation_level, topics=asked)
        (part,) = answer.topics[0].partitions
        code = SERVER_ERROR if broker.kind == "apache" else INVALID_REQUEST
        assert (part.error_code, part.offset, part.timestamp) == (code, -1, -1)

    def test_a_partition_that_comes_twice(self, connection, filled):
        """Each of its entries is refused; the partitions beside it are answered."""
        wide = create_topic(connection, partitions=2)
        asked = [{"partition_index": index, "timestamp": LATEST} for index in (0, 0, 1)]
        answer = connection.call("ListOffsets", 5, replica_id=-1, topics=[{"name": wide.name, "partitions": asked}])
        codes = sorted((part.partition_index, part.error_code) for part in answer.topics[0].partitions)
        assert set(codes) == {(0, 42), (1, NONE)}

    def test_several_topics_and_partitions_at_once(self, connection, filled):
        wide = create_topic(connection, partitions=3)
        topics = [
            {"name": filled.name, "partitions": [{"partition_index": 0, "timestamp": EARLIEST}]},
            {"name": wide.name, "partitions": [{"partition_index": i, "timestamp": LATEST} for i in range(3)]},
        ]
        answer = connection.call("ListOffsets", 7, replica_id=-1, topics=topics)
        listed = {(t.name, p.partition_index): (p.error_code, p.offset) for t in answer.topics for p in t.partitions}
        assert listed == {(filled.name, 0): (NONE, 0), **{(wide.name, index): (NONE, 0) for index in range(3)}}


class TestLeaderEpochs:
    """OffsetForLeaderEpoch: where an epoch ended, for clients that check whether their history was cut."""

    def ask(self, connection, topic, epoch, *, version=4, current=-1, partition=0):
        asked = [{"partition": partition, "current_leader_epoch": current, "leader_epoch": epoch}]
        answer = connection.call(
            "OffsetForLeaderEpoch", version, replica_id=-1, topics=[{"topic": topic.name, "partitions": asked}]
        )
        (part,) = answer.topics[0].partitions
        return part.error_code, part.partition, part.leader_epoch, part.end_offset

    @pytest.mark.parametrize("version", [2, 3, 4])
    def test_the_present_epoch_ends_at_the_end_of_the_log(self, version, connection, filled):
        assert self.ask(connection, filled, 0, version=version) == (NONE, 0, 0, 6)

    def test_of_an_empty_log(self, connection, topic):
        assert self.ask(connection, topic, 0) == (NONE, 0, 0, 0)

    @pytest.mark.parametrize("epoch", [5, -1])
    def test_an_epoch_that_never_was_is_undefined(self, epoch, connection, filled):
        assert self.ask(connection, filled, epoch) == (NONE, 0, -1, -1)

    def test_a_reader_that_is_ahead_of_this_broker(self, connection, filled):
        assert self.ask(connection, filled, 0, current=7) == (UNKNOWN_LEADER_EPOCH, 0, -1, -1)
        assert self.ask(connection, filled, 0, current=0) == (NONE, 0, 0, 6)

    def test_an_unknown_topic_or_partition(self, connection, filled):
        assert self.ask(connection, unknown_topic(), 0) == (UNKNOWN_TOPIC_OR_PARTITION, 0, -1, -1)
        assert self.ask(connection, filled, 0, partition=9) == (UNKNOWN_TOPIC_OR_PARTITION, 9, -1, -1)
