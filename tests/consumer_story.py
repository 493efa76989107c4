"""A consumer group's history in words (KIP-848): one line a request, a line for each thing that comes of it.

    story = Story("t:4")
    story("0 join a")        -> ["a: epoch 2, t:0-3"]

A command is the time in seconds, what is done, and by whom. Each client remembers its id, its epoch and what it was
given; it owns that at once, and says so when it changed, as clients do. After every command what was written is
replayed, and must give the same groups; and no partition may be with two members.

    join a [topics=t,u] [regex=x.*] [instance=i] [assignor=range] [rebalance=60] [rack=r] [v=1]
    beat a [topics=...] [regex=...] [assignor=...] [owns=t:0-1]      `owns=` nothing, `owns=?` does not say
    full a                   says everything again
    leave a, away a          for good; for a while (static members)
    commit a t:0-3           which partitions it may commit for
    topic t:8, drop t        the cluster changes
    configure name=value     of the group
    classic-join c [topics=t] [owns=t:0-1] [instance=i] [protocols=range] [rebalance=60] [session=10] [v=9]
    sync c [all:t:0-3]       what a leader gives to all members there are; `own:` to itself alone
    heartbeat c
    classic-leave c...
    describe, list           the group; groups
    wait                     nothing, but time passes
    restart                  another machine replays the records

`as=ID` takes another member id than the client knows, `epoch=N` another epoch or generation, `group=G` another group
than "g". New ids are `#1`, `#2` ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from kbroker.config import BrokerConfig
from kbroker.coordinators.groups.classic import ClassicGroup
from kbroker.coordinators.groups.consumer_group import ConsumerGroup
from kbroker.coordinators.groups.shard import GroupShard
from kbroker.coordinators.machine import Client, Now, Step
from kbroker.errors import Refusal
from kbroker.metadata.image import GROUP_RESOURCE, Delta, Image, PartitionImage, TopicImage
from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_describe import DescribedGroup
from kbroker_wire.messages.consumer_group_heartbeat import (
    ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
    TopicPartitions,
)
from kbroker_wire.messages.consumer_protocol import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
    TopicPartition,
    decode_assignment,
    encode_assignment,
    encode_subscription,
)
from kbroker_wire.messages.coordinator_records import encode_record
from kbroker_wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from kbroker_wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from kbroker_wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse
from kbroker_wire.schema import Message, uuid_from_text, uuid_to_text

WALL_MS = 1_700_000_000_000  # what the wall clock shows at second 0
NEW_ID = re.compile(r"(?:[\w#]*-00000000-0000-0000-0000-0*([0-9a-f]+)|(A{16}[\w-]{6}))\b")
PARTITION = PartitionImage((1,), (1,), 1, 0, 0, ())
NOT_SAID = "?"
Owned = dict[str, frozenset[int]]


@dataclass
class Member:
    """What a client knows of itself. `said`: what it last said that it owns; None if it said nothing yet."""

    id: str
    epoch: int = 0
    instance: str | None = None
    topics: list[str] | None = None
    regex: str | None = None
    rebalance_ms: int = 60_000
    owned: Owned = field(default_factory=dict)
    said: Owned | None = None


class Story:
    """`shard` is the machine, `now_s` the time, `records` what was written, `lines` what comes of the command."""

    def __init__(self, topics: str = "t:4", **settings: str) -> None:
        given = {"group.consumer.assignment.interval.ms": "0", "group.initial.rebalance.delay.ms": "0"}
        given |= {name.replace("_", "."): value for name, value in settings.items()}
        self._config = BrokerConfig.parse(given)
        self.now_s = 0.0
        self.image = Image()
        self.members: dict[str, Member] = {}
        self.records: list[tuple[bytes, bytes | None]] = []
        self.written: list[str] = []  # the tables of what the last command wrote, "-" before what it deleted
        self.lines: list[str] = []
        self._ids = 0
        self._waiting: dict[object, str] = {}
        self._topic_ids: dict[str, bytes] = {}  # of all that there ever were: clients do not forget
        for each in topics.split():
            self._topic([each], {})
        self.shard = self._new_shard()
        self.shard.loaded(self.now)

    def _new_shard(self) -> GroupShard:
        return GroupShard(self._config, self._new_id, self.image)

    def _new_id(self) -> str:
        self._ids += 1
        return uuid_to_text(self._ids.to_bytes(16))

    @property
    def now(self) -> Now:
        return Now(self.now_s, WALL_MS + round(self.now_s * 1000))

    def group(self, group_id: str = "g") -> ConsumerGroup:
        group = self.shard.context.groups[group_id]
        assert isinstance(group, ConsumerGroup)
        return group

    def __call__(self, command: str) -> list[str]:
        """Do it; what comes of it, and of the time until then."""
        at, verb, *words = command.split()
        self.lines, self.written = [], []
        if verb == "settings":
            self.__init__(words[0].replace(",", " "), **dict(word.split("=") for word in words[1:]))  # type: ignore[misc]
            return []
        self._pass_time(float(at))
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        getattr(self, f"_{verb.replace('-', '_')}")(names, options)
        self.check_owners()
        self.check_reload()
        self.lines = [NEW_ID.sub(_number, line) for line in self.lines]
        return self.lines

    def _pass_time(self, until: float) -> None:
        assert until >= self.now_s
        while (deadline := self.shard.deadline) is not None and deadline <= until:
            self.now_s = max(self.now_s, deadline)
            before = self._members()
            self._took(self.shard.tick(self.now), None)
            gone = ", ".join(f"{group}/{each}" for group, each in sorted(before - self._members()))
            if gone:
                self.lines.append(f"-- {self.now_s:g}: {gone} out")
        self.now_s = until

    def _members(self) -> set[tuple[str, str]]:
        groups = self.shard.context.groups.values()
        return {
            (group.id, each)
            for group in groups
            if isinstance(group, (ConsumerGroup, ClassicGroup))
            for each in group.members
        }

    # -- the consumer protocol -----------------------------------------------------------------------------------------

    def _join(self, names: list[str], options: dict[str, str]) -> None:
        (name,) = names
        version = int(options.get("v", "1"))
        member = self.members[name] = Member(name if version else "", instance=options.get("instance"))
        member.rebalance_ms = round(float(options.get("rebalance", "60")) * 1000)
        if "regex" not in options or "topics" in options:
            member.topics = _names(options.get("topics", "t"))
        member.regex = options.get("regex")
        self._beat_with(name, member, 0, {"owns": "", **options}, full=True, version=version)

    def _beat(self, names: list[str], options: dict[str, str]) -> None:
        (name,) = names
        member = self.members.setdefault(name, Member(name))
        self._beat_with(name, member, member.epoch, options, full=False)

    def _full(self, names: list[str], options: dict[str, str]) -> None:
        member = self.members[names[0]]
        self._beat_with(names[0], member, member.epoch, options, full=True)

    def _beat_with(
        self, name: str, member: Member, epoch: int, options: dict[str, str], *, full: bool, version: int = 1
    ) -> None:
        if "topics" in options:
            member.topics = _names(options["topics"])
        if "regex" in options:
            member.regex = options["regex"]
        owned: Owned | None = member.owned
        if "owns" in options:
            owned = None if options["owns"] == NOT_SAID else _parse(options["owns"])
        elif owned == member.said and not full:
            owned = None
        request = ConsumerGroupHeartbeatRequest(
            group_id=options.get("group", "g"),
            member_id=options.get("as", member.id),
            member_epoch=int(options.get("epoch", epoch)),
            instance_id=member.instance,
            rack_id=options.get("rack"),
            rebalance_timeout_ms=member.rebalance_ms if full else -1,
            subscribed_topic_names=member.topics if full or "topics" in options else None,
            subscribed_topic_regex=member.regex if full or "regex" in options else None,
            server_assignor=options.get("assignor"),
            topic_partitions=None if owned is None else self._rows(owned),
        )
        member.said = owned if owned is not None else member.said
        response = self._ask(
            name, lambda: self.shard.consumer_heartbeat(request, Client(name, "/127.0.0.1"), version, self.now)
        )
        if isinstance(response, ConsumerGroupHeartbeatResponse):
            member.id, member.epoch = response.member_id or "", response.member_epoch
            if response.assignment is not None:
                member.owned = self._by_name(response.assignment.topic_partitions)

    def _leave(self, names: list[str], options: dict[str, str]) -> None:
        self._go(names[0], -1, options)

    def _away(self, names: list[str], options: dict[str, str]) -> None:
        self._go(names[0], -2, options)

    def _go(self, name: str, epoch: int, options: dict[str, str]) -> None:
        member = self.members.get(name, Member(name))
        request = ConsumerGroupHeartbeatRequest(
            group_id=options.get("group", "g"),
            member_id=options.get("as", member.id),
            member_epoch=epoch,
            instance_id=options.get("instance", member.instance),
        )
        self._ask(name, lambda: self.shard.consumer_heartbeat(request, Client(name, "/127.0.0.1"), 1, self.now))

    def _commit(self, names: list[str], options: dict[str, str]) -> None:
        name, what = names
        member = self.members.get(name, Member(name))
        group = self.shard.context.groups[options.get("group", "g")]
        try:
            epoch = int(options.get("epoch", member.epoch))
            check = group.check_commit(
                options.get("as", member.id), member.instance, epoch, transactional="txn" in options, version=9
            )
        except Refusal as refusal:
            self.lines.append(f"{name}: {refusal.code.name} {refusal.message or ''}".rstrip())
            return
        for topic, partitions in _parse(what).items():
            for partition in sorted(partitions):
                outcome = "ok"
                try:
                    if check is not None:
                        check(topic, self.image.topic_ids[topic], partition)
                except Refusal as refusal:
                    outcome = f"{refusal.code.name} {refusal.message}"
                self.lines.append(f"{name}: {topic}:{partition} {outcome}")

    # -- the classic protocol ------------------------------------------------------------------------------------------

    def _classic_join(self, names: list[str], options: dict[str, str]) -> None:
        (name,) = names
        member = self.members.setdefault(name, Member(""))
        member.instance = options.get("instance", member.instance)
        owned = _parse(options["owns"]) if "owns" in options else member.owned
        metadata = encode_subscription(
            ConsumerProtocolSubscription(
                topics=_names(options.get("topics", "t")),
                owned_partitions=[TopicPartition(topic=each, partitions=sorted(owned[each])) for each in owned],
            )
        )
        metadata = bytes.fromhex(options["meta"]) if "meta" in options else metadata
        request = JoinGroupRequest(
            group_id=options.get("group", "g"),
            session_timeout_ms=round(float(options.get("session", "10")) * 1000),
            rebalance_timeout_ms=round(float(options.get("rebalance", "60")) * 1000) or -1,
            member_id=options.get("as", member.id),
            group_instance_id=member.instance,
            protocol_type=options.get("type", "consumer"),
            protocols=[
                JoinGroupRequestProtocol(name=each, metadata=metadata)
                for each in _names(options.get("protocols", "range"))
            ],
        )
        version, ticket = int(options.get("v", "9")), object()
        self._waiting[ticket] = name
        self._ask(name, lambda: self.shard.join(request, Client(name, "/127.0.0.1"), version, ticket, self.now), ticket)

    def _sync(self, names: list[str], options: dict[str, str]) -> None:
        name, *given = names
        member = self.members[name]
        assignments = []
        for text in given:
            rows = [TopicPartition(topic=each, partitions=sorted(what)) for each, what in _parse(text[4:]).items()]
            data = options.get("data")
            assignment = ConsumerProtocolAssignment(assigned_partitions=rows, user_data=data.encode() if data else None)
            group = self.shard.context.groups["g"]
            assert isinstance(group, ClassicGroup)
            encoded = b"\0" if "malformed" in options else encode_assignment(assignment)
            whom = group.members if text.startswith("all:") else [member.id]
            assignments += [SyncGroupRequestAssignment(member_id=each, assignment=encoded) for each in whom]
        request = SyncGroupRequest(
            group_id=options.get("group", "g"),
            generation_id=int(options.get("epoch", member.epoch)),
            member_id=options.get("as", member.id),
            group_instance_id=options.get("instance", member.instance),
            protocol_type=options.get("type", "consumer"),
            protocol_name=options.get("protocol", "range"),
            assignments=assignments,
        )
        ticket = object()
        self._waiting[ticket] = name
        self._ask(name, lambda: self.shard.sync(request, ticket, self.now), ticket)

    def _heartbeat(self, names: list[str], options: dict[str, str]) -> None:
        (name,) = names
        member = self.members[name]
        request = HeartbeatRequest(
            group_id=options.get("group", "g"),
            generation_id=int(options.get("epoch", member.epoch)),
            member_id=options.get("as", member.id),
            group_instance_id=options.get("instance", member.instance),
        )
        self._ask(name, lambda: self.shard.heartbeat(request, self.now))

    def _classic_leave(self, names: list[str], options: dict[str, str]) -> None:
        members = [
            MemberIdentity(
                member_id=self.members[name].id if name in self.members else name,
                group_instance_id=self.members.get(name, Member(name)).instance,
            )
            for name in names
        ]
        if "instance" in options:
            members.append(MemberIdentity(member_id="", group_instance_id=options["instance"]))
        request = LeaveGroupRequest(group_id=options.get("group", "g"), members=members)
        self._ask(" ".join(names), lambda: self.shard.leave(request, 5, self.now))

    # -- the world -----------------------------------------------------------------------------------------------------

    def _topic(self, names: list[str], options: dict[str, str]) -> None:
        name, _, partitions = names[0].partition(":")
        topic_id = self.image.topic_ids.get(name) or f"{options.get('id', name):_>16}".encode()
        self._topic_ids[name] = topic_id
        topic = TopicImage(name, topic_id, (PARTITION,) * int(partitions))
        topics, ids = {**self.image.topics, topic_id: topic}, {**self.image.topic_ids, name: topic_id}
        self._new_image(replace(self.image, topics=topics, topic_ids=ids), Delta(topics={topic_id}))

    def _drop(self, names: list[str], options: dict[str, str]) -> None:
        topics, ids = dict(self.image.topics), dict(self.image.topic_ids)
        gone = topics.pop(ids.pop(names[0]))
        self._new_image(replace(self.image, topics=topics, topic_ids=ids), Delta(removed={gone.id: gone}))

    def _configure(self, names: list[str], options: dict[str, str]) -> None:
        configs = {**self.image.configs, (GROUP_RESOURCE, names[0] if names else "g"): options}
        self._new_image(replace(self.image, configs=configs), Delta(configs={(GROUP_RESOURCE, "g")}))

    def _new_image(self, image: Image, delta: Delta) -> None:
        self.image = replace(image, offset=self.image.offset + 1)
        if hasattr(self, "shard"):
            self._took(self.shard.image_changed(self.image, delta, self.now), None)

    def _wait(self, names: list[str], options: dict[str, str]) -> None:
        pass

    def _restart(self, names: list[str], options: dict[str, str]) -> None:
        self.shard = self._replayed()
        self._took(self.shard.loaded(self.now), None)

    def _describe(self, names: list[str], options: dict[str, str]) -> None:
        self._ask("group", lambda: self.shard.consumer_describe(options.get("group", "g")))

    def _list(self, names: list[str], options: dict[str, str]) -> None:
        for row in self.shard.listed((), ()):
            self.lines.append(f"{row.group_id}: {row.protocol_type} {row.group_state} {row.group_type}")

    # -- laws ----------------------------------------------------------------------------------------------------------

    def check_owners(self) -> None:
        """No partition is with two members, counting what they are told to give up until they say that they did."""
        for group in self.shard.context.groups.values():
            if isinstance(group, ConsumerGroup):
                owners: dict[tuple[bytes, int], str] = {}
                for member in group.members.values():
                    for assigned in (member.current.assigned, member.current.revoking):
                        for topic_id, epochs in assigned.items():
                            for partition in epochs:
                                assert owners.setdefault((topic_id, partition), member.id) == member.id
                                assert group.owner(topic_id, partition) == member.id

    def check_reload(self) -> None:
        """What was written gives the groups that are there. Classic groups are looked after elsewhere."""
        again, groups = self._replayed().context.groups, self.shard.context.groups
        assert again.keys() == groups.keys()
        for group in groups.values():
            if isinstance(group, ConsumerGroup):
                loaded = again[group.id]
                assert isinstance(loaded, ConsumerGroup)
                assert durable(loaded) == durable(group)

    def _replayed(self) -> GroupShard:
        shard = self._new_shard()
        for key, value in self.records:
            shard.replay(key, value, -1)
        return shard

    # -- machine -------------------------------------------------------------------------------------------------------

    def _rows(self, owned: Owned) -> list[TopicPartitions]:
        return [
            TopicPartitions(topic_id=self._topic_ids.get(each, b"?" * 16), partitions=sorted(owned[each]))
            for each in owned
        ]

    def _by_name(self, rows: Iterable[TopicPartitions]) -> Owned:
        names = {topic_id: name for name, topic_id in self._topic_ids.items()}
        return {names.get(row.topic_id, "?"): frozenset(row.partitions) for row in rows}

    def _ask(self, name: str, ask: object, ticket: object = None) -> Message | None:
        assert callable(ask)
        try:
            step: Step = ask()
        except Refusal as refusal:
            self._waiting.pop(ticket, None)
            self.lines.append(f"{name}: {refusal.code.name}" + (f" {refusal.message}" if refusal.message else ""))
            return None
        if step.response is not None:
            self._waiting.pop(ticket, None)
        self._took(step, name)
        return step.response

    def _took(self, step: Step, name: str | None) -> None:
        if step.response is not None:
            assert name is not None
            self._answered(name, step.response)
        for reply in step.replies:
            self._answered(self._waiting.pop(reply.ticket), reply.response)
        for key, value in step.records:
            self.records.append(encode_record(key, value))
            self.written.append(("-" if value is None else "") + type(key).__name__.removesuffix("Key"))

    def _answered(self, name: str, response: Message) -> None:
        member = self.members.get(name, Member(""))
        if isinstance(response, JoinGroupResponse):
            if response.error_code in (ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED):
                member.id = response.member_id
            if response.error_code == ErrorCode.NONE:
                member.epoch = response.generation_id
        elif isinstance(response, SyncGroupResponse) and response.error_code == ErrorCode.NONE:
            rows = decode_assignment(response.assignment).assigned_partitions if len(response.assignment) > 1 else []
            member.owned = {row.topic: frozenset(row.partitions) for row in rows}
        self.lines.append(f"{name}: {self._told(response)}")
        if isinstance(response, DescribedGroup):
            self.lines += [_described_member(each) for each in response.members]

    def _told(self, response: Message) -> str:
        match response:
            case ConsumerGroupHeartbeatResponse():
                given = response.assignment
                if given is None:
                    return f"epoch {response.member_epoch}"
                return f"epoch {response.member_epoch}, {_show(self._by_name(given.topic_partitions))}"
            case DescribedGroup():
                words = (response.group_state, response.group_epoch, response.assignment_epoch, response.assignor_name)
                return " ".join(map(str, words))
            case LeaveGroupResponse():
                rows = (
                    (row.member_id or row.group_instance_id, ErrorCode(row.error_code).name) for row in response.members
                )
                return ", ".join(f"{who} {code}" for who, code in rows)
            case JoinGroupResponse() if response.error_code == ErrorCode.NONE:
                leads = f", leads {len(response.members)}" if response.members else ""
                return f"generation {response.generation_id} {response.protocol_name} as {response.member_id}{leads}"
            case SyncGroupResponse() if response.error_code == ErrorCode.NONE:
                assignment = decode_assignment(response.assignment) if len(response.assignment) > 1 else None
                rows = assignment.assigned_partitions if assignment else ()
                return f"assigned {_show({row.topic: frozenset(row.partitions) for row in rows})}"
            case JoinGroupResponse() | SyncGroupResponse() | HeartbeatResponse():
                code = ErrorCode(response.error_code)
                new = f" {response.member_id}" if code is ErrorCode.MEMBER_ID_REQUIRED else ""  # type: ignore[union-attr]
                return "ok" if code is ErrorCode.NONE else code.name + new
            case _:
                raise AssertionError(response)


def durable(group: ConsumerGroup) -> tuple[object, ...]:
    """All of a group that the log keeps."""
    return (
        {each.id: (each.subscription, each.current) for each in group.members.values()},
        (group.epoch, group.metadata_hash, group.target_epoch, group.assigned_at_ms),
        group.targets,
        group.regexes,
        group.static_ids,
        group.classic_members,
        group.subscribed_topics(),
        sorted(group.subscribed_regexes()),
        group.preferred_assignor(),
    )


def _described_member(member: object) -> str:
    has, shall = (_show({row.topic_name: frozenset(row.partitions) for row in each.topic_partitions}) for each in (
        member.assignment, member.target_assignment))  # type: ignore[attr-defined]  # fmt: skip
    kind = {0: "classic", 1: "consumer"}[member.member_type]  # type: ignore[attr-defined]
    return f"{member.member_id} {kind} epoch {member.member_epoch}: {has} -> {shall}"  # type: ignore[attr-defined]


def _number(new_id: re.Match[str]) -> str:
    """Of a member id that the broker made, of either kind."""
    of_classic, of_consumer = new_id.groups()
    return f"#{int(of_classic, 16) if of_classic else int.from_bytes(uuid_from_text(of_consumer))}"


def _names(text: str) -> list[str]:
    return [each for each in text.split(",") if each]


def _parse(text: str) -> Owned:
    """ "t:0-2,5;u:1" """
    owned: Owned = {}
    for each in filter(None, text.split(";")):
        topic, _, ranges = each.partition(":")
        numbers: set[int] = set()
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            numbers.update(range(int(first), int(last or first) + 1))
        owned[topic] = frozenset(numbers)
    return owned


def _show(owned: Mapping[str, frozenset[int]]) -> str:
    return ";".join(f"{topic}:{_ranges(owned[topic])}" for topic in sorted(owned) if owned[topic]) or "nothing"


def _ranges(numbers: Iterable[int]) -> str:
    parts: list[list[int]] = []
    for number in sorted(numbers):
        if parts and parts[-1][-1] == number - 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)
