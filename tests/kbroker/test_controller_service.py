"""The controller as a service: decisions one after the other, published in order when they are committed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from broker_in_memory import NOW_MS, Gate
from kbroker.controller.core import CreatedTopic, Defaults, NewTopic
from kbroker.controller.service import Controller
from kbroker.durability import SyncRounds
from kbroker.env import Env
from kbroker.errors import Refusal
from kbroker.metadata.image import Image
from kbroker.metadata.log import MetadataLog
from kbroker_storage import MemoryFiles
from kbroker_wire import ErrorCode
from kbroker_wire.messages.metadata_records import BrokerEndpoint, RegisterBrokerRecord


class Cluster:
    """A controller alone, with what it published."""

    def __init__(self, files, *, synced=True):
        self.gate = Gate()
        self.env = replace(Env.in_memory(), files=files, now_ms=lambda: NOW_MS, run_blocking=self.gate.run)
        self.rounds = SyncRounds(self.env)
        self.published = []
        files.make_directory("/data")
        self.controller = Controller(
            MetadataLog(self.env, "/data", clean=False, recovery_point=0),
            self.rounds,
            synced=synced,
            defaults=Defaults(partitions=1, replication_factor=1),
            new_uuid=self.env.new_uuid,
            publish=self.publish,
        )

    async def publish(self, image, delta):
        self.published.append((image, delta))

    async def register(self):
        def records(broker_epoch):
            return [
                RegisterBrokerRecord(
                    broker_id=1,
                    incarnation_id=bytes(16),
                    broker_epoch=broker_epoch,
                    end_points=[BrokerEndpoint(name="PLAINTEXT", host="host", port=9092, security_protocol=0)],
                    features=[],
                    rack=None,
                    fenced=False,
                    log_dirs=[],
                )
            ]

        await self.controller.register(records)


@pytest.fixture(params=[True, False], ids=["synced", "relaxed"])
async def cluster(request, nursery):
    cluster = Cluster(MemoryFiles(), synced=request.param)
    nursery.start_soon(cluster.rounds.run)
    nursery.start_soon(cluster.controller.run)
    await cluster.register()
    cluster.published.clear()
    return cluster


async def test_each_decision_sees_the_ones_before_it_though_they_are_not_committed(cluster, nursery):
    outcomes = []

    async def create():
        outcomes.append((await cluster.controller.create_topics([NewTopic("topic", 1, 1)]))["topic"])

    cluster.gate.close()
    for _ in range(3):
        nursery.start_soon(create)
    await wait_all_tasks_blocked()
    cluster.gate.open()
    await wait_all_tasks_blocked()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["CreatedTopic", "Refusal", "Refusal"]
    codes = {outcome.code for outcome in outcomes if isinstance(outcome, Refusal)}
    assert codes == {ErrorCode.TOPIC_ALREADY_EXISTS}
    assert len(cluster.published) == 1


async def test_an_answer_that_needs_no_record_waits_for_what_it_goes_by(nursery):
    cluster = Cluster(MemoryFiles())
    nursery.start_soon(cluster.rounds.run)
    nursery.start_soon(cluster.controller.run)
    await cluster.register()
    outcomes = []

    async def create():
        outcomes.append(await cluster.controller.create_topics([NewTopic("topic", 1, 1)]))

    await create()
    cluster.gate.close()
    nursery.start_soon(cluster.controller.delete_topics, [cluster.controller.image.topic("topic")])
    await wait_all_tasks_blocked()
    nursery.start_soon(cluster.controller.delete_topics, [])  # somebody who finds no such topic
    nursery.start_soon(create)
    await wait_all_tasks_blocked()
    assert len(outcomes) == 1
    with trio.move_on_after(1) as waited:
        await cluster.controller.commit([])
    assert waited.cancelled_caught, "a power cut would bring the topic back"
    cluster.gate.open()
    await cluster.controller.commit([])
    assert cluster.controller.image is cluster.published[-1][0]


async def test_images_are_published_in_order_each_after_its_commit(cluster, nursery):
    for i in range(5):
        await cluster.controller.create_topics([NewTopic(f"topic-{i}", 1, 1)])
        assert f"topic-{i}" in cluster.published[-1][0].topic_ids
    offsets = [image.offset for image, _ in cluster.published]
    assert offsets == sorted(set(offsets))
    assert cluster.controller.image is cluster.published[-1][0]


async def test_many_decisions_share_a_sync_round(nursery):
    cluster = Cluster(MemoryFiles())
    nursery.start_soon(cluster.rounds.run)
    nursery.start_soon(cluster.controller.run)
    await cluster.register()
    cluster.gate.close()
    async with trio.open_nursery() as callers:
        for i in range(20):
            callers.start_soon(cluster.controller.create_topics, [NewTopic(f"topic-{i}", 1, 1)])
        await wait_all_tasks_blocked()
        assert cluster.gate.held == 1
        assert len(cluster.published) == 1, "only the registration"
        cluster.gate.open()
    assert len(cluster.controller.image.topics) == 20


async def test_validating_only_changes_nothing(cluster):
    before = cluster.controller.image
    outcome = await cluster.controller.create_topics([NewTopic("topic", 1, 1)], validate_only=True)
    assert isinstance(outcome["topic"], CreatedTopic)
    assert await cluster.controller.create_partitions([("nope", 3, None)], validate_only=True)
    assert cluster.controller.image is before
    assert not cluster.published


async def test_one_request_is_one_batch(cluster):
    end = cluster.controller.log.end
    await cluster.controller.create_topics([NewTopic("a", 2, 1), NewTopic("b", 1, 1), NewTopic("!", 1, 1)])
    log = cluster.controller.log
    assert log.bytes_between(end, log.end) == log.bytes_between(log.end - 1, log.end), "one frame"


async def test_a_broker_epoch_is_the_offset_of_the_registration(cluster):
    await cluster.controller.create_topics([NewTopic("topic", 1, 1)])
    expected = cluster.controller.log.end
    await cluster.register()
    assert cluster.controller.image.brokers[1].epoch == expected


async def test_after_a_failure_every_decision_is_refused_and_nothing_more_is_published(cluster, nursery):
    cluster.controller.failed(OSError("no disk"))
    for _ in range(2):
        with pytest.raises(Refusal) as refusal:
            await cluster.controller.create_topics([NewTopic("topic", 1, 1)])
        assert refusal.value.code == ErrorCode.KAFKA_STORAGE_ERROR
    assert not cluster.published


async def test_what_was_decided_is_there_after_a_restart_and_a_delta_names_all_of_it(cluster):
    await cluster.controller.create_topics([NewTopic("kept", 2, 1, configs=[("retention.ms", "5")])])
    await cluster.controller.create_topics([NewTopic("gone", 1, 1)])
    gone = cluster.controller.image.topic("gone")
    await cluster.controller.delete_topics([gone])
    again = Cluster(cluster.env.files)
    delta = again.controller.load()
    assert again.controller.image == cluster.controller.image
    assert (delta.topics, delta.configs) == (set(again.controller.image.topics), {(2, "kept")})
    assert delta.removed == {gone.id: gone}


async def test_an_empty_log_is_an_empty_image():
    cluster = Cluster(MemoryFiles())
    cluster.controller.load()
    assert cluster.controller.image == Image()


async def test_a_decision_made_while_a_round_runs_is_published_after_its_own(nursery):
    cluster = Cluster(MemoryFiles())
    nursery.start_soon(cluster.rounds.run)
    nursery.start_soon(cluster.controller.run)
    await cluster.register()
    cluster.gate.close()
    nursery.start_soon(cluster.controller.create_topics, [NewTopic("first", 1, 1)])
    await wait_all_tasks_blocked()
    nursery.start_soon(cluster.controller.create_topics, [NewTopic("second", 1, 1)])
    await wait_all_tasks_blocked()
    cluster.gate.open()  # for the round that runs ...
    cluster.gate.close()  # ... and not for the next
    await wait_all_tasks_blocked()
    assert list(cluster.published[-1][0].topic_ids) == ["first"]
    cluster.gate.open()
    await wait_all_tasks_blocked()
    assert list(cluster.published[-1][0].topic_ids) == ["first", "second"]
