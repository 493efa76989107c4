"""kafka-python as a writer of transactions that is killed at any moment; kills/transactional.py says what it prints.

transactional_writer.py BOOTSTRAP writer TRANSACTIONAL_ID FIRST_NUMBER TIMEOUT_MS TOPIC:PARTITION...
"""

import logging
import os
import random
import sys
import time
from itertools import count

import kafka
from kills.values import ABORTED, MOST_RECORDS, PAUSE_S, transaction_value

CALL_S = 5.0  # how long a call waits for the broker to come back


def main() -> None:
    bootstrap, _, transactional_id, first, timeout_ms, *places = sys.argv[1:]
    draw = random.Random(f"{transactional_id} {first}")
    producer = _producer(bootstrap, transactional_id, int(timeout_ms))
    for number in count(int(first)):
        chosen = draw.choices(places, k=draw.randint(1, MOST_RECORDS))
        _tell("begun", number, " ".join(chosen))
        try:
            _tell(_write(producer, f"{transactional_id}/{number}", chosen, aborted=draw.random() < ABORTED), number)
        except kafka.errors.KafkaError as failure:
            _tell("failed", number, f"{type(failure).__name__}: {failure}".replace("\n", " "))
            os._exit(1)  # without closing the producer, which would go on trying; the next program takes over
        time.sleep(draw.uniform(0, PAUSE_S))


def _producer(bootstrap: str, transactional_id: str, timeout_ms: int) -> kafka.KafkaProducer:
    while True:
        producer = kafka.KafkaProducer(
            bootstrap_servers=bootstrap,
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            request_timeout_ms=timeout_ms,
            reconnect_backoff_max_ms=100,
            retry_backoff_ms=20,
            max_block_ms=int(CALL_S * 1000),
        )
        try:
            producer.init_transactions()
        except kafka.errors.KafkaError:
            continue
        else:
            return producer


def _write(producer: kafka.KafkaProducer, name: str, chosen: list[str], *, aborted: bool) -> str:
    """How the transaction ended. Raises KafkaError if nobody can tell."""
    producer.begin_transaction()
    sent = []
    for place, where in enumerate(chosen):
        topic, _, partition = where.rpartition(":")
        sent.append(producer.send(topic, transaction_value(name, place), partition=int(partition)))
    if aborted:
        producer.abort_transaction()
        return "aborted"
    for future in sent:
        future.get(CALL_S)
    _tell("commit", int(name.rpartition("/")[2]))
    producer.commit_transaction()
    return "committed"


def _tell(*words: object) -> None:
    print(*words, flush=True)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    main()
