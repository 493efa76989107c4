"""FindCoordinator (key 10) and InitProducerId (key 22), which default producers need even without transactions."""

import time

import pytest
from raw_kafka.calls import NONE, READY_WITHIN_S, metadata_topics

LOAD_IN_PROGRESS, NOT_AVAILABLE, INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT = 14, 15, 42, 50
GROUP, TRANSACTION, SHARE = 0, 1, 2
NO_PRODUCER = (-1, -1)


def ready(ask, broker):
    """The answer once it is not "not yet": a broker whose open port means ready never says that."""
    answer = ask()
    deadline = time.monotonic() + READY_WITHIN_S
    while broker.kind == "apache" and answer.error_code in (LOAD_IN_PROGRESS, NOT_AVAILABLE):
        assert time.monotonic() < deadline, answer
        time.sleep(0.02)
        answer = ask()
    return answer


def find_one(connection, version, key, key_type=GROUP):
    """Versions 0-3 ask for one key and answer at the top; later ones for a list."""
    answer = connection.call("FindCoordinator", version, key=key, key_type=key_type, coordinator_keys=[key])
    if version < 4:
        return answer
    (coordinator,) = answer.coordinators
    assert coordinator.key == key
    return coordinator


class TestFindCoordinator:
    @pytest.mark.parametrize("version", range(7))
    def test_of_a_group_is_this_broker(self, version, connection, broker):
        found = ready(lambda: find_one(connection, version, "some-group"), broker)
        assert (found.error_code, found.host, found.port) == (NONE, broker.host, broker.port)
        assert found.node_id == connection.call("Metadata", 12, topics=[]).brokers[0].node_id

    @pytest.mark.parametrize("version", range(1, 7))
    def test_of_a_transaction_is_this_broker(self, version, connection, broker):
        found = ready(lambda: find_one(connection, version, "some-transaction", TRANSACTION), broker)
        assert (found.error_code, found.host, found.port) == (NONE, broker.host, broker.port)

    @pytest.mark.parametrize("version", [1, 2, 3])
    def test_old_versions_spell_out_that_there_is_no_error(self, version, connection, broker):
        assert ready(lambda: find_one(connection, version, "some-group"), broker).error_message == "NONE"

    @pytest.mark.parametrize("version", [4, 5, 6])
    def test_several_keys_are_answered_one_by_one(self, version, connection, broker):
        ready(lambda: find_one(connection, version, "a"), broker)
        keys = ["a", "b", "c"]
        answer = connection.call("FindCoordinator", version, key_type=GROUP, coordinator_keys=keys)
        assert [(each.key, each.error_code) for each in answer.coordinators] == [(key, NONE) for key in keys]

    def test_no_keys_no_coordinators(self, connection):
        assert connection.call("FindCoordinator", 6, key_type=GROUP, coordinator_keys=[]).coordinators == []

    @pytest.mark.parametrize("version", [0, 3, 6])
    def test_of_an_empty_group_id(self, version, connection, broker):
        assert ready(lambda: find_one(connection, version, ""), broker).error_code == NONE

    @pytest.mark.parametrize("version", range(1, 7))
    def test_an_unknown_kind_of_key(self, version, connection):
        found = find_one(connection, version, "q", 9)
        assert (found.error_code, found.node_id, found.host, found.port) == (INVALID_REQUEST, -1, "", -1)

    @pytest.mark.parametrize("key", ["g", "", "group:not-a-uuid:0", "group:AAAAAAAAAAAAAAAAAAAAAQ:x"])
    def test_a_share_key_must_name_group_topic_and_partition(self, key, connection):
        found = find_one(connection, 6, key, SHARE)
        assert (found.error_code, found.error_message) == (INVALID_REQUEST, "")

    @pytest.mark.parametrize("version", range(1, 6))
    def test_a_share_key_is_nothing_to_old_versions(self, version, connection):
        found = find_one(connection, version, "group:AAAAAAAAAAAAAAAAAAAAAQ:0", SHARE)
        assert (found.error_code, found.node_id, found.port) == (INVALID_REQUEST, -1, -1)

    def test_the_topic_of_a_coordinator_is_there_when_it_is_named(self, connection, broker):
        """Where groups and transactions are served. Where not (yet), asking creates nothing."""
        served = {api.api_key for api in connection.call("ApiVersions", 0).api_keys}
        for key_type, needed, name in ((GROUP, 11, "__consumer_offsets"), (TRANSACTION, 24, "__transaction_state")):
            found = ready(lambda kind=key_type: find_one(connection, 6, "somebody", kind), broker)
            assert found.error_code == NONE
            (topic,) = metadata_topics(connection, [name])
            assert topic.is_internal is True
            assert (topic.error_code == NONE) is (needed in served)


class TestInitProducerId:
    def ask(self, connection, version=5, **fields):
        return connection.call("InitProducerId", version, **{"transactional_id": None, **fields})

    @pytest.mark.parametrize("version", range(6))
    def test_gives_a_new_id_each_time(self, version, connection, broker):
        first = ready(lambda: self.ask(connection, version), broker)
        second = ready(lambda: self.ask(connection, version), broker)
        assert (first.error_code, first.producer_epoch) == (NONE, 0)
        assert (second.error_code, second.producer_epoch) == (NONE, 0)
        assert first.producer_id >= 0
        assert second.producer_id > first.producer_id

    def test_ids_do_not_repeat_over_many_questions(self, connect, broker):
        """More than one block of 1000 ids, over several connections in turns."""
        connections = [connect() for _ in range(4)]
        ready(lambda: self.ask(connections[0]), broker)
        seen = []
        for _ in range(26):
            for connection in connections:
                for _ in range(11):
                    connection.send("InitProducerId", 1, transactional_id=None)
            answers = [connection.answer() for connection in connections for _ in range(11)]
            if broker.kind == "apache":  # which asks the clients to wait while it fetches the next block
                answers = [each for each in answers if each.error_code != LOAD_IN_PROGRESS]
            assert all(each.error_code == NONE for each in answers)
            seen += [each.producer_id for each in answers]
        assert len(set(seen)) == len(seen)
        assert min(seen) >= 0

    @pytest.mark.parametrize("timeout_ms", [0, -1, 2**31 - 1])
    def test_the_timeout_matters_only_with_a_transactional_id(self, timeout_ms, connection, broker):
        answer = ready(lambda: self.ask(connection, transaction_timeout_ms=timeout_ms), broker)
        assert answer.error_code == NONE

    @pytest.mark.parametrize("version", range(6))
    def test_an_empty_transactional_id(self, version, connection):
        answer = self.ask(connection, version, transactional_id="", transaction_timeout_ms=60_000)
        assert answer.error_code == INVALID_REQUEST
        assert (answer.producer_id, answer.producer_epoch) == NO_PRODUCER

    @pytest.mark.parametrize("timeout_ms", [0, -1, 900_001, 10_000_000])
    def test_a_transaction_timeout_out_of_range(self, timeout_ms, connection, broker):
        """transaction.max.timeout.ms is 900000 by default."""

        def once():
            return self.ask(connection, transactional_id="some-transaction", transaction_timeout_ms=timeout_ms)

        answer = ready(once, broker)
        assert answer.error_code == INVALID_TRANSACTION_TIMEOUT
        assert (answer.producer_id, answer.producer_epoch) == NO_PRODUCER

    @pytest.mark.parametrize("version", [3, 4, 5])
    @pytest.mark.parametrize("given", [(5, -1), (-1, 5)])
    def test_a_producer_id_and_its_epoch_come_together_or_not_at_all(self, given, version, connection):
        answer = self.ask(connection, version, producer_id=given[0], producer_epoch=given[1])
        assert answer.error_code == INVALID_REQUEST
        assert (answer.producer_id, answer.producer_epoch) == NO_PRODUCER
