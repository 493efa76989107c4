"""Fetch sessions (KIP-227): a reader names its partitions once, and is then told only what changed."""

import pytest
from raw_kafka.batches import batch
from raw_kafka.calls import NONE, create_topic, fetch_request, produce, unknown_topic

OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION = 1, 3
SESSION_ID_NOT_FOUND, INVALID_SESSION_EPOCH, UNKNOWN_TOPIC_ID = 70, 71, 100
NEW, NO_SESSION = 0, -1


@pytest.fixture(params=[7, 12, 13, 18])
def ask(request, connection):
    """ask(id, epoch, wanted, ...) in an old, the last by name, the first by id, and the newest version."""

    def ask_once(session_id, epoch, wanted=(), **options):
        fields = fetch_request(wanted, session_id=session_id, session_epoch=epoch, **options)
        return connection.call("Fetch", request.param, **fields)

    ask_once.version = request.param
    return ask_once


def listed(answer):
    """[(topic, error code, bytes)] of the partitions in an answer; topics by id or name."""
    return [
        (getattr(response, "topic_id", None) or response.topic, part.error_code, len(part.records or b""))
        for response in answer.responses
        for part in response.partitions
    ]


def label(topic, ask):
    return topic.id if ask.version >= 13 else topic.name


def created(ask, *wanted):
    answer = ask(0, NEW, wanted)
    assert answer.error_code == NONE
    assert answer.session_id != 0
    return answer.session_id


def test_epoch_0_makes_a_session_and_lists_every_partition(ask, connection, topic):
    other = create_topic(connection)
    answer = ask(0, NEW, [(topic, 0, 0), (other, 0, 0)])
    assert answer.session_id > 0
    assert listed(answer) == [(label(topic, ask), NONE, 0), (label(other, ask), NONE, 0)]


def test_what_has_nothing_new_is_left_out(ask, connection, topic):
    session = created(ask, (topic, 0, 0))
    answer = ask(session, 1)
    assert (answer.error_code, answer.session_id, answer.responses) == (NONE, session, [])


def test_only_the_partition_with_data_is_listed(ask, connection, topic):
    other = create_topic(connection)
    session = created(ask, (topic, 0, 0), (other, 0, 0))
    size = len(batch())
    produce(connection, other, batch())
    answer = ask(session, 1)
    assert listed(answer) == [(label(other, ask), NONE, size)]
    assert answer.session_id == session


def test_the_same_offset_brings_the_data_again(ask, connection, topic):
    session = created(ask, (topic, 0, 0))
    produce(connection, topic, batch())
    first, second = ask(session, 1), ask(session, 2)
    assert listed(first) == listed(second) == [(label(topic, ask), NONE, len(batch()))]


def test_a_new_offset_replaces_the_old_one(ask, connection, topic):
    session = created(ask, (topic, 0, 0))
    produce(connection, topic, batch())
    assert listed(ask(session, 1))
    ask(session, 2, [(topic, 0, 1)])
    assert listed(ask(session, 3)) == []


def test_a_partition_may_join_later(ask, connection, topic):
    other = create_topic(connection)
    session = created(ask, (topic, 0, 0))
    assert listed(ask(session, 1, [(other, 0, 0)])) == [(label(other, ask), NONE, 0)]
    produce(connection, other, batch())
    assert [each[0] for each in listed(ask(session, 2))] == [label(other, ask)]


def test_a_changed_high_watermark_is_told_without_data(ask, connection, topic):
    """The reader is already past the end it was told: nothing to send but the news."""
    produce(connection, topic, batch())
    session = created(ask, (topic, 0, 1))
    produce(connection, topic, batch())
    answer = ask(session, 1, [(topic, 0, 2)])
    assert listed(answer) == [(label(topic, ask), NONE, 0)]
    assert answer.responses[0].partitions[0].high_watermark == 2
    assert listed(ask(session, 2)) == []


def test_forgotten_partitions_are_silent(ask, connection, topic):
    other = create_topic(connection)
    session = created(ask, (topic, 0, 0), (other, 0, 0))
    ask(session, 1, forgotten=[(topic, 0)])
    produce(connection, topic, batch())
    produce(connection, other, batch())
    assert [each[0] for each in listed(ask(session, 2))] == [label(other, ask)]


def test_errors_are_told_again_and_again(ask, connection, topic):
    session = created(ask, (topic, 0, 99))
    for epoch in (1, 2, 3):
        assert listed(ask(session, epoch)) == [(label(topic, ask), OFFSET_OUT_OF_RANGE, 0)]


def test_an_unknown_topic_is_an_error_inside_the_session(ask, connection):
    stranger = unknown_topic()
    code = UNKNOWN_TOPIC_ID if ask.version >= 13 else UNKNOWN_TOPIC_OR_PARTITION
    answer = ask(0, NEW, [(stranger, 0, 0)])
    assert answer.session_id > 0
    assert listed(answer) == listed(ask(answer.session_id, 1)) == [(label(stranger, ask), code, 0)]


def test_a_session_may_begin_empty(ask, connection, topic):
    session = created(ask)
    assert listed(ask(session, 1, [(topic, 0, 0)])) == [(label(topic, ask), NONE, 0)]


@pytest.mark.parametrize("epoch", [2, 5])
def test_a_wrong_epoch_is_refused(epoch, ask, topic):
    session = created(ask, (topic, 0, 0))
    answer = ask(session, epoch)
    assert (answer.error_code, answer.session_id, answer.responses) == (INVALID_SESSION_EPOCH, 0, [])
    assert ask(session, 1).error_code == NONE, "the session is still there"


def test_an_epoch_is_used_once(ask, topic):
    session = created(ask, (topic, 0, 0))
    assert ask(session, 1).error_code == NONE
    assert ask(session, 1).error_code == INVALID_SESSION_EPOCH


def test_an_unknown_session_is_refused(ask, topic):
    session = created(ask, (topic, 0, 0))
    answer = ask(session ^ 0x1234567, 1, [(topic, 0, 0)])
    assert (answer.error_code, answer.session_id, answer.responses) == (SESSION_ID_NOT_FOUND, 0, [])


def test_epoch_minus_one_with_an_id_closes_the_session(ask, topic):
    session = created(ask, (topic, 0, 0))
    answer = ask(session, NO_SESSION, [(topic, 0, 0)])
    assert (answer.error_code, answer.session_id) == (NONE, 0)
    assert listed(answer) == [(label(topic, ask), NONE, 0)]
    assert ask(session, 1).error_code == SESSION_ID_NOT_FOUND


def test_epoch_0_with_an_id_replaces_the_session(ask, topic):
    old = created(ask, (topic, 0, 0))
    answer = ask(old, NEW, [(topic, 0, 0)])
    assert answer.error_code == NONE
    assert answer.session_id not in (0, old)
    assert ask(old, 1).error_code == SESSION_ID_NOT_FOUND
    assert ask(answer.session_id, 1).error_code == NONE


def test_epoch_minus_one_without_an_id_makes_no_session(ask, topic):
    answer = ask(0, NO_SESSION, [(topic, 0, 0)])
    assert (answer.error_code, answer.session_id) == (NONE, 0)
    assert listed(answer) == [(label(topic, ask), NONE, 0)]


def test_a_session_outlives_its_connection(connect, topic):
    first, second = connect(), connect()
    answer = first.call("Fetch", 12, **fetch_request([(topic, 0, 0)], session_epoch=NEW))
    first.close()
    again = second.call("Fetch", 12, **fetch_request([], session_id=answer.session_id, session_epoch=1))
    assert (again.error_code, again.session_id) == (NONE, answer.session_id)


def test_a_long_poll_inside_a_session_is_ended_by_a_record(connect, topic):
    waiting, writing = connect(), connect()
    session = waiting.call("Fetch", 12, **fetch_request([(topic, 0, 0)], session_epoch=NEW)).session_id
    request = fetch_request([], session_id=session, session_epoch=1, max_wait_ms=120_000, min_bytes=1)
    waiting.send("Fetch", 12, **request)
    assert not waiting.has_news()
    produce(writing, topic, batch())
    answer = waiting.answer()
    assert (answer.session_id, listed(answer)) == (session, [(topic.name, NONE, len(batch()))])


def test_the_epoch_after_the_largest_is_one(connection, topic):
    """Not reachable by counting; the largest epoch itself is refused like any other wrong one."""
    session = connection.call("Fetch", 12, **fetch_request([(topic, 0, 0)], session_epoch=NEW)).session_id
    answer = connection.call("Fetch", 12, **fetch_request([], session_id=session, session_epoch=2**31 - 1))
    assert answer.error_code == INVALID_SESSION_EPOCH


def test_partitions_take_turns_at_being_first(connection, topic):
    """With room for one batch only, the next answer begins where this one ended, so that nobody starves."""
    other = create_topic(connection)
    for each in (topic, other):
        produce(connection, each, batch([b"x" * 1000]))
    wanted = [(topic, 0, 0), (other, 0, 0)]
    first = connection.call("Fetch", 12, **fetch_request(wanted, session_epoch=NEW, max_bytes=1))
    answers = [first]
    for epoch in (1, 2):
        request = fetch_request([], session_id=first.session_id, session_epoch=epoch, max_bytes=1)
        answers.append(connection.call("Fetch", 12, **request))
    served = {name for answer in answers for name, _, size in listed(answer) if size}
    assert served == {topic.name, other.name}
