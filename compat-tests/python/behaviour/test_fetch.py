"""Fetch (key 1) without sessions: which batches come, how budgets cut, when a long poll ends, what is an error."""

import pytest
from raw_kafka.batches import Record, batch, read_batches
from raw_kafka.calls import NONE, create_topic, fetch, fetch_request, produce, produce_request, unknown_topic

OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH = 1, 3, 74, 75
SERVER_ERROR, INVALID_REQUEST, UNKNOWN_TOPIC_ID = -1, 42, 100
VERSIONS = range(4, 19)
LONG_MS = 120_000  # a wait that no answer may need: the connection gives up long before
SHORT_MS = 300  # a wait that is meant to run out
BATCH = [b"x" * 100, b"y" * 100, b"z" * 100]


@pytest.fixture
def filled(connection, topic):
    """Four batches of three records: offsets 0-2, 3-5, 6-8, 9-11."""
    for _ in range(4):
        produce(connection, topic, batch(BATCH))
    return topic


SIZE = len(batch(BATCH))


def bases(partition):
    batches, _ = read_batches(partition.records)
    return [each.base_offset for each in batches]


def ask(connection, wanted, version=12, **options):
    """Fetch from several partitions; {(topic, partition): partition's answer}."""
    answer = connection.call("Fetch", version, **fetch_request(wanted, **options))
    name = "topic_id" if version >= 13 else "topic"
    return {
        (getattr(response, name), part.partition_index): part
        for response in answer.responses
        for part in response.partitions
    }


class TestWhatComes:
    @pytest.mark.parametrize("version", VERSIONS)
    def test_everything_from_the_start_in_every_version(self, version, connection, filled):
        found = fetch(connection, filled, 0, version=version)
        assert (found.error_code, found.high_watermark, found.last_stable_offset) == (NONE, 12, 12)
        assert bases(found) == [0, 3, 6, 9]
        assert len(found.records) == 4 * SIZE
        assert found.aborted_transactions is None
        if version >= 5:
            assert found.log_start_offset == 0
        if version >= 11:
            assert found.preferred_read_replica == -1

    @pytest.mark.parametrize("version", [12, 16, 18])
    def test_success_says_nothing_about_leaders(self, version, connection, filled):
        answer = connection.call("Fetch", version, **fetch_request([(filled, 0, 0)]))
        (partition,) = answer.responses[0].partitions
        assert not partition.current_leader
        assert not partition.diverging_epoch
        assert not partition.snapshot_id
        assert not getattr(answer, "node_endpoints", ())

    def test_the_batch_that_holds_the_offset_comes_whole(self, connection, filled):
        assert bases(fetch(connection, filled, 4)) == [3, 6, 9]
        assert bases(fetch(connection, filled, 5)) == [3, 6, 9]
        assert bases(fetch(connection, filled, 6)) == [6, 9]

    def test_at_the_end_there_are_no_bytes_rather_than_null(self, connection, filled):
        found = fetch(connection, filled, 12)
        assert (found.error_code, found.records, found.high_watermark) == (NONE, b"", 12)

    def test_an_empty_partition(self, connection, topic):
        found = fetch(connection, topic, 0)
        assert (found.error_code, found.records, found.high_watermark, found.log_start_offset) == (NONE, b"", 0, 0)

    @pytest.mark.parametrize("version", [4, 11, 12, 18])
    def test_a_reader_of_committed_records_gets_a_list_of_aborted_transactions(self, version, connection, filled):
        found = fetch(connection, filled, 0, version=version, isolation_level=1)
        assert found.aborted_transactions == []
        assert bases(found) == [0, 3, 6, 9]

    def test_nothing_asked_nothing_answered(self, connection):
        answer = connection.call("Fetch", 12, **fetch_request([], max_wait_ms=LONG_MS, min_bytes=1))
        assert (answer.error_code, answer.session_id, answer.responses) == (NONE, 0, [])

    def test_batches_are_stored_bytes_and_survive_unchanged(self, connection, topic):
        sent = batch([Record(b"v", b"k", [("h", b"1")], timestamp_delta=3), b""])
        produce(connection, topic, sent)
        received = fetch(connection, topic, 0).records
        assert received[8:12] == sent[8:12]
        assert received[16:] == sent[16:], "all but base offset and leader epoch"


class TestBudgets:
    """KIP-74: the first batch always comes whole, so that a reader can not get stuck."""

    @pytest.mark.parametrize("budget", [0, 1, SIZE - 1])
    def test_the_first_batch_is_larger_than_the_partitions_budget(self, budget, connection, filled):
        found = fetch(connection, filled, 0, partition_max_bytes=budget)
        assert (bases(found), len(found.records)) == ([0], SIZE)

    @pytest.mark.parametrize("budget", [0, 1, SIZE - 1])
    def test_the_first_batch_is_larger_than_the_whole_budget(self, budget, connection, filled):
        found = fetch(connection, filled, 0, max_bytes=budget)
        assert (bases(found), len(found.records)) == ([0], SIZE)

    def test_what_follows_is_cut_at_the_budget(self, connection, filled):
        assert len(fetch(connection, filled, 0, partition_max_bytes=SIZE).records) == SIZE
        found = fetch(connection, filled, 0, partition_max_bytes=SIZE + 1)
        batches, cut = read_batches(found.records)
        assert [each.base_offset for each in batches] == [0]
        assert len(cut) <= 1, "Kafka sends the first byte of the next batch; readers ignore it"
        assert bases(fetch(connection, filled, 0, partition_max_bytes=3 * SIZE - 1)) == [0, 3]

    def test_the_whole_budget_is_spent_in_the_order_of_asking(self, connect, filled):
        connection = connect()
        second = create_topic(connection)
        produce(connection, second, batch(BATCH))
        for first, other in ((filled, second), (second, filled)):
            found = ask(connection, [(first, 0, 0), (other, 0, 0)], max_bytes=SIZE)
            assert bases(found[first.name, 0]) == [0]
            assert found[other.name, 0].records == b""
            assert found[other.name, 0].error_code == NONE

    def test_only_the_first_partition_with_data_may_exceed_its_budget(self, connection, filled):
        empty, second = create_topic(connection), create_topic(connection)
        produce(connection, second, batch(BATCH))
        found = ask(connection, [(empty, 0, 0), (filled, 0, 0), (second, 0, 0)], partition_max_bytes=10)
        sizes = {name: len(part.records) for (name, _), part in found.items()}
        assert sizes[empty.name] == 0
        assert sizes[filled.name] == SIZE
        assert sizes[second.name] < SIZE


class TestErrors:
    @pytest.mark.parametrize("offset", [13, 10**9, -1, -2])
    @pytest.mark.parametrize("version", [4, 11, 12, 18])
    def test_an_offset_outside_the_log(self, version, offset, connection, filled):
        found = fetch(connection, filled, offset, version=version, max_wait_ms=LONG_MS, min_bytes=1)
        assert (found.error_code, found.high_watermark, found.last_stable_offset) == (OFFSET_OUT_OF_RANGE, -1, -1)
        assert not found.records
        if version >= 5:
            assert found.log_start_offset == -1

    @pytest.mark.parametrize("version", VERSIONS[:9])
    def test_an_unknown_topic(self, version, connection):
        found = fetch(connection, unknown_topic(), 0, version=version, max_wait_ms=LONG_MS, min_bytes=1)
        assert (found.error_code, found.high_watermark, found.last_stable_offset) == (
            UNKNOWN_TOPIC_OR_PARTITION,
            -1,
            -1,
        )
        assert not found.records

    @pytest.mark.parametrize("version", VERSIONS[9:])
    def test_an_unknown_topic_id_is_an_error_of_the_partition(self, version, connection):
        answer = connection.call("Fetch", version, **fetch_request([(unknown_topic(), 0, 0)]))
        assert answer.error_code == NONE
        assert answer.responses[0].partitions[0].error_code == UNKNOWN_TOPIC_ID

    @pytest.mark.parametrize("partition", [1, -1])
    def test_an_unknown_partition(self, partition, connection, filled):
        found = fetch(connection, filled, 0, partition=partition)
        assert (found.partition_index, found.error_code) == (partition, UNKNOWN_TOPIC_OR_PARTITION)
        assert (found.high_watermark, found.last_stable_offset, found.log_start_offset) == (-1, -1, -1)

    @pytest.mark.parametrize("version", [9, 12, 18])
    def test_a_leader_epoch_from_the_future(self, version, connection, filled):
        found = fetch(connection, filled, 0, version=version, leader_epoch=5)
        assert (found.error_code, found.high_watermark) == (UNKNOWN_LEADER_EPOCH, -1)
        assert fetch(connection, filled, 0, version=version, leader_epoch=0).error_code == NONE

    @pytest.mark.parametrize("version", [9, 12, 18])
    def test_any_negative_leader_epoch_is_an_unknown_one(self, version, connection, filled):
        assert bases(fetch(connection, filled, 9, version=version, leader_epoch=-2)) == [9]

    @pytest.mark.parametrize("version", [4, 6, 7, 12, 18])
    @pytest.mark.parametrize("isolation_level", [-1, 2])
    def test_an_isolation_level_that_does_not_exist(self, isolation_level, version, connection, filled, broker):
        request = fetch_request([(filled, 0, 0)], isolation_level=isolation_level)
        answer = connection.call("Fetch", version, **request)
        code = SERVER_ERROR if broker.kind == "apache" else INVALID_REQUEST
        listed = [part.error_code for each in answer.responses for part in each.partitions]
        assert listed == ([code] if version < 13 else []), "by name only"
        assert version < 7 or answer.error_code == code

    @pytest.mark.parametrize("budget", ["max_bytes", "partition_max_bytes"])
    def test_a_negative_budget_where_there_is_something_to_read(self, budget, connection, filled, broker):
        found = fetch(connection, filled, 0, **{budget: -1})
        assert found.error_code == (SERVER_ERROR if broker.kind == "apache" else INVALID_REQUEST)
        assert not found.records
        assert fetch(connection, filled, 12, **{budget: -1}).error_code == NONE, "nothing to read"

    def test_of_one_partition_leave_the_others_their_data(self, connection, filled):
        stranger = unknown_topic()
        found = ask(connection, [(stranger, 0, 0), (filled, 0, 9)])
        assert found[stranger.name, 0].error_code == UNKNOWN_TOPIC_OR_PARTITION
        assert bases(found[filled.name, 0]) == [9]


class TestLongPoll:
    """Answers when enough bytes are there, the wait runs out, or a partition has an error; else it waits."""

    def test_enough_bytes_are_answered_at_once(self, connection, filled):
        found = fetch(connection, filled, 0, max_wait_ms=LONG_MS, min_bytes=4 * SIZE)
        assert len(found.records) == 4 * SIZE

    def test_min_bytes_0_is_answered_at_once(self, connection, filled):
        assert fetch(connection, filled, 12, max_wait_ms=LONG_MS, min_bytes=0).records == b""

    def test_max_wait_0_is_answered_at_once(self, connection, filled):
        assert fetch(connection, filled, 12, max_wait_ms=0, min_bytes=10**6).records == b""

    def test_what_there_is_comes_when_the_wait_runs_out(self, connection, filled):
        found = fetch(connection, filled, 0, max_wait_ms=SHORT_MS, min_bytes=10**6)
        assert len(found.records) == 4 * SIZE

    def test_a_record_ends_it(self, connect, topic):
        waiting, writing = connect(), connect()
        waiting.send("Fetch", 12, **fetch_request([(topic, 0, 0)], max_wait_ms=LONG_MS, min_bytes=1))
        assert not waiting.has_news()
        produce(writing, topic, batch([b"news"]))
        (partition,) = waiting.answer().responses[0].partitions
        assert read_batches(partition.records)[0][0].values == [b"news"]
        assert partition.high_watermark == 1

    def test_it_waits_until_there_are_enough(self, connect, topic):
        waiting, writing = connect(), connect()
        waiting.send("Fetch", 12, **fetch_request([(topic, 0, 0)], max_wait_ms=LONG_MS, min_bytes=2 * SIZE))
        produce(writing, topic, batch(BATCH))
        writing.call("ApiVersions", 0)
        assert not waiting.has_news(), "one batch is not enough"
        produce(writing, topic, batch(BATCH))
        assert bases(waiting.answer().responses[0].partitions[0]) == [0, 3]

    def test_bytes_are_counted_over_all_partitions(self, connect):
        waiting, writing = connect(), connect()
        wide = create_topic(writing, partitions=2)
        wanted = [(wide, 0, 0), (wide, 1, 0)]
        waiting.send("Fetch", 12, **fetch_request(wanted, max_wait_ms=LONG_MS, min_bytes=2 * SIZE))
        produce(writing, wide, batch(BATCH), partition=0)
        produce(writing, wide, batch(BATCH), partition=1)
        parts = [part for response in waiting.answer().responses for part in response.partitions]
        assert [len(part.records) for part in parts] == [SIZE, SIZE]

    def test_bytes_beyond_a_partitions_budget_do_not_count(self, connection, filled):
        found = fetch(connection, filled, 0, max_wait_ms=SHORT_MS, min_bytes=2 * SIZE, partition_max_bytes=SIZE)
        assert len(found.records) == SIZE, "after the wait ran out"

    def test_from_the_middle_of_a_batch_the_whole_batch_counts(self, connection, filled):
        found = fetch(connection, filled, 11, max_wait_ms=LONG_MS, min_bytes=SIZE)
        assert bases(found) == [9]

    def test_a_reader_in_an_older_segment_does_not_wait(self, connection):
        """It is far behind; whatever it gets, there is no reason to hold it up until min_bytes are there."""
        topic = create_topic(connection, configs={"segment.bytes": "1048576"})
        for _ in range(3):
            assert produce(connection, topic, batch([b"x" * 600_000])).error_code == NONE
        found = fetch(connection, topic, 0, max_wait_ms=LONG_MS, min_bytes=10**8)
        assert bases(found)[0] == 0

    def test_many_waiters_are_all_woken(self, connect, topic):
        waiters = [connect() for _ in range(20)]
        for each in waiters:
            each.send("Fetch", 12, **fetch_request([(topic, 0, 0)], max_wait_ms=LONG_MS, min_bytes=1))
        produce(connect(), topic, batch())
        assert all(bases(each.answer().responses[0].partitions[0]) == [0] for each in waiters)

    def test_an_offset_out_of_range_ends_it_and_brings_what_the_others_have(self, connection, filled):
        other = create_topic(connection)
        wanted = [(filled, 0, 0), (other, 0, 99)]
        found = ask(connection, wanted, max_wait_ms=LONG_MS, min_bytes=10**6)
        assert found[other.name, 0].error_code == OFFSET_OUT_OF_RANGE
        assert len(found[filled.name, 0].records) == 4 * SIZE

    def test_an_unknown_topic_alone_is_answered_at_once(self, connection):
        stranger = unknown_topic()
        found = ask(connection, [(stranger, 0, 0)], max_wait_ms=LONG_MS, min_bytes=1)
        assert found[stranger.name, 0].error_code == UNKNOWN_TOPIC_OR_PARTITION

    def test_an_unknown_topic_beside_known_ones_does_not_end_it(self, connect, topic):
        waiting, writing = connect(), connect()
        stranger = unknown_topic()
        waiting.send("Fetch", 12, **fetch_request([(topic, 0, 0), (stranger, 0, 0)], max_wait_ms=LONG_MS, min_bytes=1))
        for _ in range(20):
            writing.call("ApiVersions", 0)
        assert not waiting.has_news()
        produce(writing, topic, batch())
        codes = {response.topic: response.partitions[0].error_code for response in waiting.answer().responses}
        assert codes == {topic.name: NONE, stranger.name: UNKNOWN_TOPIC_OR_PARTITION}

    def test_a_reader_of_committed_records_is_woken_as_well(self, connect, topic):
        waiting = connect()
        request = fetch_request([(topic, 0, 0)], max_wait_ms=LONG_MS, min_bytes=1, isolation_level=1)
        waiting.send("Fetch", 12, **request)
        produce(connect(), topic, batch([b"news"]))
        assert bases(waiting.answer().responses[0].partitions[0]) == [0]

    def test_a_waiter_that_hangs_up_is_no_trouble(self, connect, topic):
        leaving, writing = connect(), connect()
        leaving.send("Fetch", 12, **fetch_request([(topic, 0, 0)], max_wait_ms=LONG_MS, min_bytes=1))
        leaving.close()
        assert produce(writing, topic, batch()).error_code == NONE
        assert bases(fetch(writing, topic, 0)) == [0]

    def test_deleting_the_topic_ends_it(self, connect, topic):
        waiting, deleting = connect(), connect()
        waiting.send("Fetch", 12, **fetch_request([(topic, 0, 0)], max_wait_ms=LONG_MS, min_bytes=1))
        entry = {"name": topic.name}
        deleting.call("DeleteTopics", 6, topics=[entry], timeout_ms=30_000)
        (partition,) = waiting.answer().responses[0].partitions
        assert partition.error_code != NONE


def test_a_large_answer_to_a_slow_reader_arrives_whole(connect, topic):
    writing, reading = connect(), connect()
    payload = bytes(range(256)) * 2000
    for _ in range(16):
        produce(writing, topic, batch([payload]))
    reading.send("Fetch", 12, **fetch_request([(topic, 0, 0)], partition_max_bytes=1 << 30))
    for _ in range(10):  # other work goes on while nobody reads the answer
        assert writing.call("Metadata", 12, topics=[]).brokers
    batches, cut = read_batches(reading.answer().responses[0].partitions[0].records)
    assert cut == b""
    assert [each.values for each in batches] == [[payload]] * 16


def test_a_reader_beside_a_writer_sees_each_offset_once(connect, topic, broker):
    batches_to_write = 200
    writing, reading = connect(), connect()
    for number in range(batches_to_write):
        writing.send("Produce", 9, **produce_request(topic, batch([b"%d" % number])))
    values, offset = [], 0
    while offset < batches_to_write:
        found = fetch(reading, topic, offset, max_wait_ms=5_000, min_bytes=1)
        for each in read_batches(found.records)[0]:
            assert each.base_offset == offset
            values += each.values
            offset = each.last_offset + 1
        if broker.kind != "apache":  # which reads the high watermark first and may then send more than it covers
            assert offset <= found.high_watermark
    assert values == [b"%d" % number for number in range(batches_to_write)]
    for number in range(batches_to_write):
        assert writing.answer().responses[0].partition_responses[0].base_offset == number
