"""Stories of transactions in partitions: newer producers (KIP-890) and older ones, every refusal, who reads what."""

from collections.abc import Iterator

from raw_kafka.batches import TRANSACTIONAL

from .cases import STRANGER
from .story import Story, Teller
from .transaction_requests import IMPLICIT, Producer, find, init, producers, read


def ids(teller: Teller) -> None:
    """InitProducerId with a transactional id: new, again, with what is known already, and every refusal."""
    for version in range(6):
        name = f"ids-{version}"
        first = init(teller, name, version, "new")
        init(teller, name, version, "again")
        for timeout in (0, -1, 900_001, 2**31 - 1):
            init(teller, f"ids-bad-{version}", version, f"timeout {timeout}", timeout_ms=timeout)
            init(teller, name, version, f"known, timeout {timeout}", timeout_ms=timeout)
        init(teller, name, version, "another timeout", timeout_ms=30_000)
        init(teller, "", version, "empty id")
        if version >= 3:
            number = int(first.producer_id)
            epoch = int(init(teller, name, version, "once more").producer_epoch)
            init(teller, name, version, "with its id and epoch", producer=(number, epoch))
            init(teller, name, version, "with the epoch before", producer=(number, epoch))
            init(teller, name, version, "with the epoch long before", producer=(number, 0))
            init(teller, name, version, "with the epoch to come", producer=(number, epoch + 9))
            init(teller, name, version, "with a stranger's id", producer=(number + 9999, epoch))
            init(teller, name, version, "with an id alone", producer=(number, -1))
            init(teller, name, version, "with an epoch alone", producer=(-1, epoch))
            init(teller, f"ids-new-{version}", version, "new, with an id and an epoch", producer=(number, epoch))
            init(teller, name, version, "with a negative id", producer=(-2, 0))
        teller.ask("DescribeTransactions", 0, transactional_ids=[name])


def newer(teller: Teller) -> None:
    """Produce 12 and 13 add partitions by themselves; EndTxn 5 gives the next epoch."""
    for version in (12, 13):
        topic = teller.topic(f"newer-{version}", 2)
        producer = Producer(teller, f"newer-{version}")
        producer.write(version, topic, b"a", b"b", title="first")
        producer.settled("ongoing")
        producers(teller, topic, title="ongoing", partitions=(0, 1))
        producer.write(version, topic, b"c", title="second")
        producer.write(version, topic, b"c", title="second, again", sequence=2)
        producer.write(version, topic, b"x", title="gap", sequence=7)
        producer.write(version, topic, b"d", title="other partition", partition=1)
        read(teller, 12, topic, 0, "while open")
        read(teller, 12, topic, 0, "while open, uncommitted", level=0)
        find(teller, 11, topic, -1, "while open")
        find(teller, 11, topic, -1, "while open, uncommitted", level=0)
        before = (producer.id, producer.epoch)
        producer.end(5, commit=True, title="commits")
        read(teller, 12, topic, 0, "committed")
        producers(teller, topic, title="committed", partitions=(0, 1))
        producer.end(5, commit=True, title="commits again with the old epoch", producer=before)
        producer.end(5, commit=False, title="aborts with the old epoch", producer=before)
        producer.end(4, commit=True, title="commits with the old epoch, version 4", producer=before)
        producer.write(version, topic, b"late", title="writes with the old epoch", producer=before, sequence=3)
        producer.write(version, topic, b"e", title="next")
        producer.write(version, topic, b"late", title="old epoch while the next is open", producer=before, sequence=4)
        before = (producer.id, producer.epoch)
        producer.end(5, commit=False, title="aborts")
        read(teller, 12, topic, 0, "aborted")
        read(teller, 12, topic, 4, "aborted, from its beginning")
        read(teller, 12, topic, 0, "aborted, uncommitted", level=0)
        producer.end(5, commit=False, title="aborts again with the old epoch", producer=before)
        producer.end(5, commit=True, title="commits with the old epoch", producer=before)
        producer.end(5, commit=True, title="commits nothing")
        producer.end(5, commit=False, title="aborts nothing")
        producer.write(version, topic, b"f", title="after all that")
        producer.write(version, topic, b"g", title="stranger", producer=(producer.id + 99_999, 0), sequence=0)
        producer.write(version, topic, b"g", title="unknown transactional id", name="nobody", sequence=1)
        producer.write(version, topic, b"g", title="not transactional", attributes=0, sequence=1)
        producer.write(version, topic, b"g", title="unknown partition", partition=9)
        producer.write(version, STRANGER, b"g", title="unknown topic")
        # Last: Apache Kafka holds the refused sequence of this one against the right producer.
        above = (producer.id, producer.epoch + 1)
        producer.write(version, topic, b"g", title="higher epoch", producer=above, sequence=0)
        producer.end(5, commit=True)
        producers(teller, topic, title="in the end", partitions=(0, 1))


def older(teller: Teller) -> None:
    """Every version of AddPartitionsToTxn, Produce and EndTxn that producers without KIP-890 use."""
    for version in range(3, IMPLICIT):
        topic = teller.topic(f"older-{version}", 3)
        add, end = version % 4, version % 5
        producer = Producer(teller, f"older-{version}", version % 6)
        producer.write(version, topic, b"x", title="without adding the partition")
        producer.add(add, {topic.name: [0, 1]}, "adds")
        producer.settled("with partitions")
        producer.add(add, {topic.name: [0]}, "adds again")
        producer.write(version, topic, b"a", title="first")
        producer.write(version, topic, b"b", title="not added", partition=2)
        producers(teller, topic, title="ongoing", partitions=(0, 1, 2))
        read(teller, version + 1, topic, 0, "while open")
        find(teller, version - 1, topic, -1, "while open")
        producer.end(end, commit=True, title="commits")
        producer.end(end, commit=True, title="commits again")
        producer.end(end, commit=False, title="aborts what is committed")
        read(teller, version + 1, topic, 0, "committed")
        producer.write(version, topic, b"c", title="without adding it to the next")
        producer.add(add, {topic.name: [1]}, "adds to the next")
        producer.write(version, topic, b"d", title="the next", partition=1)
        producer.end(end, commit=False, title="aborts")
        producer.end(end, commit=False, title="aborts again")
        producer.end(end, commit=True, title="commits what is aborted")
        read(teller, version + 1, topic, 0, "aborted", partition=1)
        read(teller, version + 1, topic, 0, "aborted, uncommitted", partition=1, level=0)
        producer.add(add, {topic.name: [2]}, "a transaction that writes nothing")
        producer.end(end, commit=True, title="commits nothing")
        read(teller, version + 1, topic, 0, "a marker alone", partition=2)
        producer.end(end, commit=True, title="commits it again")
        producers(teller, topic, title="in the end", partitions=(0, 1, 2))


def refused(teller: Teller) -> None:
    """Every wrong id and epoch. A request about no transactions is left out: Apache Kafka never answers it."""
    topic = teller.topic("refused-transactions")
    producer = Producer(teller, "refused-t")
    number, epoch = producer.id, producer.epoch
    strangers = {
        "lower epoch": (number, epoch - 1),
        "higher epoch": (number, epoch + 1),
        "unknown producer": (number + 99_999, epoch),
        "negative producer": (-1, -1),
    }
    for version in range(6):
        for title, who in strangers.items():
            producer.add(version, {topic.name: [0]}, title, producer=who)
        producer.add(version, {topic.name: [0]}, "unknown transactional id", name="nobody")
        producer.add(version, {topic.name: [0]}, "empty transactional id", name="")
        producer.add(version, {topic.name: [0, 9], STRANGER.name: [0]}, "unknown partition and topic")
        producer.add(version, {topic.name: [9]}, "unknown partition")
        producer.add(version, {STRANGER.name: [0]}, "unknown topic")
        producer.add(version, {}, "no topics")
        producer.add(version, {"a b": [0]}, "bad name")
        if version >= 4:
            producer.add(version, {topic.name: [0]}, "verifies what was not added", verify=True)
            producer.add(version, {}, "verifies nothing", verify=True)
    for version in range(6):
        for title, who in strangers.items():
            producer.end(version, commit=True, title=title, producer=who)
            producer.end(version, commit=False, title=f"{title}, abort", producer=who)
        producer.end(version, commit=True, title="unknown transactional id", name="nobody", settle=False)
        producer.end(version, commit=True, title="empty transactional id", name="", settle=False)
    for version in range(5):
        for title, who in strangers.items():
            producer.add_offsets(version, "refused-g", title, producer=who)
        producer.add_offsets(version, "", "no group")
    for version in (3, 11, 12):
        other = Producer(teller, f"refused-{version}")
        other.write(version, topic, title="not transactional", attributes=0, name=None)
        other.write(version, topic, title="no id", name="")
        other.write(version, topic, title="no producer", producer=(-1, -1), sequence=-1, attributes=0)
        other.write(version, topic, title="transactional, no producer", producer=(-1, -1), sequence=-1)
        other.write(version, topic, title="unknown producer", producer=(other.id + 99_999, 0), sequence=0)
        other.write(version, topic, title="higher epoch", producer=(other.id, 9), sequence=0)
        other.write(version, topic, title="lower epoch", producer=(other.id, -1), sequence=0)
        other.write(version, topic, title="another's transactional id", name="refused-t")


def verified(teller: Teller) -> None:
    """What brokers ask each other for (AddPartitionsToTxn 4 and 5): several transactions, verifying and adding."""
    topic = teller.topic("verified", 3)
    one, two = Producer(teller, "verified-1"), Producer(teller, "verified-2")
    for version in (4, 5):
        one.add(version, {topic.name: [0]}, "adds")
        one.add(version, {topic.name: [0]}, "verifies", verify=True)
        one.add(version, {topic.name: [0, 1]}, "verifies one that was added and one that was not", verify=True)
        one.add(version, {topic.name: [1]}, "verifies one that was not", verify=True)
        one.add(version, {topic.name: [0]}, "verifies for a stranger", verify=True, producer=(one.id + 9999, 0))
        one.add(version, {topic.name: [0]}, "verifies, higher epoch", verify=True, producer=(one.id, one.epoch + 1))
        one.add(version, {topic.name: [0]}, "verifies, lower epoch", verify=True, producer=(one.id, one.epoch - 1))
        rows = [{"name": topic.name, "partitions": [0]}]
        several = [
            {"transactional_id": each.name, "producer_id": each.id, "producer_epoch": each.epoch, "topics": rows}
            for each in (one, two)
        ]
        several[1]["verify_only"] = True
        teller.ask("AddPartitionsToTxn", version, "several", transactions=several)
        nobody = {"transactional_id": "nobody", "producer_id": 1, "producer_epoch": 0, "topics": rows}
        teller.ask("AddPartitionsToTxn", version, "one of nobody's", transactions=[several[0], nobody])
        one.end(4, commit=version == 4, title="ends")
        one.add(version, {topic.name: [0]}, "verifies what has ended", verify=True)


def fencing(teller: Teller) -> None:
    """A second producer of the same id: the transaction of the first is aborted, and its epoch is of no use."""
    for version in (11, 12):
        topic = teller.topic(f"fencing-{version}")
        first = Producer(teller, f"fencing-{version}")
        if version < IMPLICIT:
            first.add(3, {topic.name: [0]})
        first.write(version, topic, b"a", title="first")
        second = Producer(teller, f"fencing-{version}")
        second.settled("the second is there")
        read(teller, 12, topic, 0, "what the first wrote")
        first.write(version, topic, b"b", title="the first goes on")
        first.add(3, {topic.name: [0]}, "the first adds")
        first.add_offsets(4, "fencing", "the first adds offsets")
        for end in range(6):
            first.end(end, commit=True, title="the first commits")
            first.end(end, commit=False, title="the first aborts")
        init(teller, first.name, 5, "the first asks for another epoch", producer=(first.id, first.epoch))
        if version < IMPLICIT:
            second.add(3, {topic.name: [0]})
        second.write(version, topic, b"c", title="the second goes on")
        renewed = init(teller, second.name, 5, "the second bumps its epoch", producer=(second.id, second.epoch))
        second.settled("bumped in the middle of a transaction")
        init(teller, second.name, 5, "the same request again", producer=(second.id, second.epoch))
        second.write(version, topic, b"d", title="with the epoch before")
        second.id, second.epoch = int(renewed.producer_id), int(renewed.producer_epoch)
        producers(teller, topic, title="in the end")
        read(teller, 12, topic, 0, "in the end")


def isolation(teller: Teller) -> None:
    """Two producers in one partition, and others between them: what each version of each reader sees."""
    topic = teller.topic("isolation")
    one, two = Producer(teller, "isolation-1"), Producer(teller, "isolation-2")
    one.write(12, topic, b"1a")
    two.write(12, topic, b"2a")
    one.write(12, topic, b"1b", b"1c")
    one.end(5, commit=False, title="the first aborts")
    two.write(12, topic, b"2b")

    def look(title: str) -> None:
        for version in range(4, 19):
            for offset in (0, 1, 2, 5):
                read(teller, version, topic, offset, f"{title}, committed from {offset}")
            read(teller, version, topic, 0, f"{title}, uncommitted", level=0)
        for version in range(1, 12):
            for level in (0, 1):
                for timestamp in (-1, -2, -3, -4, 0, 2**61):
                    find(teller, version, topic, timestamp, f"{title}, time {timestamp}, level {level}", level=level)

    look("one open, one aborted")
    two.end(5, commit=True, title="the second commits")
    look("all ended")
    one.write(12, topic, b"1d")
    find(teller, 11, topic, -1, "open at the end")
    one.end(5, commit=False)
    two.write(12, topic, b"2c")
    two.end(5, commit=False)
    for offset in range(12):
        read(teller, 12, topic, offset, f"from {offset}")
    read(teller, 12, topic, 99, "out of range")


def late_commits(teller: Teller) -> None:
    """A producer that goes on in every way after another transaction began; versions of EndTxn in turns."""
    topic = teller.topic("turns")
    producer = Producer(teller, "turns")
    for turn in range(6):
        producer.write(12, topic, b"x", title="implicitly")
        producer.end(turn % 5, commit=turn % 2 == 0, title="ends as older ones do")
        producer.add(3, {topic.name: [0]}, "adds as older ones do")
        producer.write(11, topic, b"y", title="as older ones do")
        producer.end(5, commit=turn % 2 == 1, title="ends as newer ones do")
    read(teller, 12, topic, 0, "in the end")
    plain = Producer(teller, "turns-plain")
    plain.write(12, topic, attributes=0, title="not transactional, with a transactional id")
    plain.write(12, topic, attributes=TRANSACTIONAL, title="and then transactional")
    plain.end(5, commit=True)


def stories() -> Iterator[Story]:
    yield from (ids, newer, older, refused, verified, fencing, isolation, late_commits)
