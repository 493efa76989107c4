"""A classic group's history in words: one line a request, a line for each thing that comes of it.

    story = Story()
    story("0 join a")        -> ["a: MEMBER_ID_REQUIRED a#1", "record: generation 0, empty"]

A command is the time in seconds, what is done, and by whom. Each client remembers the member id and the generation that
it was told. Whatever is written is replayed after every command, and must give the same groups.

    join a [v=9] [protocols=range,sticky] [type=consumer] [meta=x] [session=10] [rebalance=60] [instance=i] [reason=why]
    sync a [b:x c:y]         the words behind it: who is assigned what, from a leader
    heartbeat a
    leave a... [instance=i]  the version is 2 if there is `v=2`
    describe, list, delete   the group; `list` takes states and types
    wait                     nothing, but time passes
    restart                  another machine replays the records; who waited is forgotten

`as=ID` takes another member id than the client knows (`as=` none), `generation=N` another generation, `group=G` another
group than "g". Member ids are shown, and may be given, as `client#n`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kbroker.config import BrokerConfig
from kbroker.coordinators.groups.classic import ClassicGroup, State
from kbroker.coordinators.groups.shard import GroupShard
from kbroker.coordinators.machine import Client, Now, Step
from kbroker.errors import Refusal
from kbroker.metadata.image import Image
from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_protocol import ConsumerProtocolSubscription, encode_subscription
from kbroker_wire.messages.coordinator_records import encode_record
from kbroker_wire.messages.delete_groups import DeletableGroupResult
from kbroker_wire.messages.describe_groups import DescribedGroup
from kbroker_wire.messages.group_records import GroupMetadataKey, GroupMetadataValue
from kbroker_wire.messages.heartbeat import HeartbeatRequest, HeartbeatResponse
from kbroker_wire.messages.join_group import JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse
from kbroker_wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from kbroker_wire.messages.sync_group import SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse
from kbroker_wire.schema import Message, uuid_to_text

UUID = re.compile(r"-00000000-0000-0000-0000-0*([0-9a-f]+)")
Answered = JoinGroupResponse | SyncGroupResponse | HeartbeatResponse | LeaveGroupResponse | DeletableGroupResult
WALL_MS = 1_700_000_000_000  # what the wall clock shows at second 0


@dataclass
class Member:
    """What a client knows of itself."""

    id: str = ""
    generation: int = -1
    instance: str | None = None


@dataclass(frozen=True)
class Ticket:
    name: str
    number: int


class Story:
    """`shard`: the machine; `open`: who waits; `answers`: who was told what; `records`: what was written."""

    def __init__(self, **settings: str) -> None:
        self._config = BrokerConfig.parse({name.replace("_", "."): value for name, value in settings.items()})
        self.now_s = 0.0
        self.members: dict[str, Member] = {}
        self.open: set[Ticket] = set()
        self.answers: list[tuple[str, Message]] = []
        self.records: list[tuple[bytes, bytes | None]] = []
        self._tickets = self._ids = 0
        self._lines: list[str] = []
        self.shard = self._new_shard()
        self.shard.loaded(self.now)

    def _new_shard(self) -> GroupShard:
        return GroupShard(self._config, self._new_id, Image())

    def _new_id(self) -> str:
        self._ids += 1
        return uuid_to_text(self._ids.to_bytes(16, "big"))

    @property
    def now(self) -> Now:
        return Now(self.now_s, WALL_MS + int(self.now_s * 1000))

    def group(self, group_id: str = "g") -> ClassicGroup:
        group = self.shard.context.groups[group_id]
        assert isinstance(group, ClassicGroup)
        return group

    def __call__(self, command: str) -> list[str]:
        """Do it; what comes of it, and of the time until then."""
        at, verb, *words = command.split()
        self._lines = []
        if verb == "settings":
            self._config = BrokerConfig.parse(dict(word.split("=") for word in words))
            self.shard = self._new_shard()
            self.shard.loaded(self.now)
            return []
        self._pass_time(float(at))
        options = dict(word.split("=", 1) for word in words if "=" in word)
        names = [word for word in words if "=" not in word]
        getattr(self, f"_{verb}")(names, options)
        self.check_reload()
        return [UUID.sub(lambda found: f"#{int(found[1], 16)}", line) for line in self._lines]

    def _pass_time(self, until: float) -> None:
        assert until >= self.now_s
        while (deadline := self.shard.deadline) is not None and deadline <= until:
            self.now_s = max(self.now_s, deadline)
            self._lines.append(f"-- {self.now_s:g}")
            self._took(self.shard.tick(self.now), None)
            if self._lines[-1].startswith("--"):
                self._lines.pop()
        self.now_s = until

    # -- commands ------------------------------------------------------------------------------------------------------

    def _wait(self, names: list[str], options: dict[str, str]) -> None:
        pass

    def _join(self, names: list[str], options: dict[str, str]) -> None:
        (name,) = names
        member = self.members.setdefault(name, Member())
        member.instance = options.get("instance", member.instance)
        metadata = options.get("meta", "").encode()
        topics = options.get("topics")
        if topics is not None:
            metadata = encode_subscription(ConsumerProtocolSubscription(topics=topics.split(",")))
        protocols = options.get("protocols", "range").split(",")
        request = JoinGroupRequest(
            group_id=options.get("group", "g"),
            session_timeout_ms=int(float(options.get("session", "10")) * 1000),
            rebalance_timeout_ms=int(float(options.get("rebalance", "60")) * 1000),
            member_id=self._id(member, options),
            group_instance_id=member.instance,
            protocol_type=options.get("type", "consumer"),
            protocols=[JoinGroupRequestProtocol(name=each, metadata=metadata) for each in protocols if each],
            reason=options.get("reason"),
        )
        client, version, ticket = Client(name, "/127.0.0.1"), int(options.get("v", "9")), self._ticket(name)
        self._ask(name, lambda: self.shard.join(request, client, version, ticket, self.now), ticket)

    def _sync(self, names: list[str], options: dict[str, str]) -> None:
        name, *assigned = names
        member = self.members.setdefault(name, Member())
        assignments = [
            SyncGroupRequestAssignment(member_id=self._id_of(who), assignment=what.encode())
            for who, _, what in (each.partition(":") for each in assigned)
        ]
        request = SyncGroupRequest(
            group_id=options.get("group", "g"),
            generation_id=int(options.get("generation", member.generation)),
            member_id=self._id(member, options),
            group_instance_id=options.get("instance", member.instance),
            protocol_type=options.get("type"),
            protocol_name=options.get("protocol"),
            assignments=assignments,
        )
        ticket = self._ticket(name)
        self._ask(name, lambda: self.shard.sync(request, ticket, self.now), ticket)

    def _heartbeat(self, names: list[str], options: dict[str, str]) -> None:
        (name,) = names
        member = self.members.setdefault(name, Member())
        request = HeartbeatRequest(
            group_id=options.get("group", "g"),
            generation_id=int(options.get("generation", member.generation)),
            member_id=self._id(member, options),
            group_instance_id=options.get("instance", member.instance),
        )
        self._ask(name, lambda: self.shard.heartbeat(request, self.now))

    def _leave(self, names: list[str], options: dict[str, str]) -> None:
        group_id, version = options.get("group", "g"), int(options.get("v", "5"))
        if version < 3:
            request = LeaveGroupRequest(group_id=group_id, member_id=self._id_of(names[0]))
        else:
            members = [
                MemberIdentity(member_id=self._id_of(name), group_instance_id=self.members.get(name, Member()).instance)
                for name in names
            ]
            if "instance" in options:
                members.append(MemberIdentity(member_id="", group_instance_id=options["instance"]))
            request = LeaveGroupRequest(group_id=group_id, members=members)
        self._ask(" ".join(names), lambda: self.shard.leave(request, version, self.now))

    def _describe(self, names: list[str], options: dict[str, str]) -> None:
        self._ask("group", lambda: self.shard.describe(options.get("group", "g")))

    def _delete(self, names: list[str], options: dict[str, str]) -> None:
        self._ask("delete", lambda: self.shard.delete(options.get("group", "g")))

    def _list(self, names: list[str], options: dict[str, str]) -> None:
        states, types = (set(filter(None, options.get(each, "").split(","))) for each in ("states", "types"))
        for row in self.shard.listed(states, types):
            self._lines.append(f"{row.group_id}: {row.protocol_type or '-'} {row.group_state} {row.group_type}")

    def _restart(self, names: list[str], options: dict[str, str]) -> None:
        self.open.clear()
        self.shard = self._replayed()
        self._took(self.shard.loaded(self.now), None)

    # -- machine -------------------------------------------------------------------------------------------------------

    def _id(self, member: Member, options: dict[str, str]) -> str:
        given = options.get("as")
        return member.id if given is None else self._id_of(given)

    def _id_of(self, name: str) -> str:
        if "#" in name:
            prefix, _, number = name.partition("#")
            return f"{prefix}-00000000-0000-0000-0000-{int(number):012x}"
        return self.members[name].id if name in self.members else name

    def _ticket(self, name: str) -> Ticket:
        self._tickets += 1
        return Ticket(name, self._tickets)

    def _ask(self, name: str, ask: object, ticket: Ticket | None = None) -> None:
        assert callable(ask)
        ticket = ticket or self._ticket(name)
        self.open.add(ticket)
        try:
            step: Step = ask()
        except Refusal as refusal:
            self.open.remove(ticket)
            self._lines.append(f"{name}: {refusal.code.name}" + (f" {refusal.message}" if refusal.message else ""))
            return
        self._took(step, ticket)

    def _took(self, step: Step, ticket: Ticket | None) -> None:
        if step.response is not None:
            assert ticket is not None
            self._answered(ticket, step.response)
        for reply in step.replies:
            assert isinstance(reply.ticket, Ticket)
            self._answered(reply.ticket, reply.response)
        for key, value in step.records:
            self.records.append(encode_record(key, value))
            if isinstance(key, GroupMetadataKey):
                assert value is None or isinstance(value, GroupMetadataValue)
                self._lines.append(_written(value))

    def _answered(self, ticket: Ticket, response: Message) -> None:
        self.open.remove(ticket)  # KeyError: answered twice
        name, member = ticket.name, self.members.get(ticket.name, Member())
        self.answers.append((name, response))
        if isinstance(response, JoinGroupResponse):
            if response.error_code in (ErrorCode.NONE, ErrorCode.MEMBER_ID_REQUIRED):
                member.id = response.member_id
            if response.error_code == ErrorCode.NONE:
                member.generation = response.generation_id
        self._lines.append(f"{name}: {_told(response)}")

    def _replayed(self) -> GroupShard:
        shard = self._new_shard()
        for key, value in self.records:
            shard.replay(key, value, -1)
        return shard

    def check_reload(self) -> None:
        """What was written gives the groups that are there, as far as they are not amid a rebalance."""
        again = self._replayed().context.groups
        groups = self.shard.context.groups
        assert again.keys() == groups.keys()
        for group in groups.values():
            if isinstance(group, ClassicGroup) and group.state in (State.EMPTY, State.STABLE):
                loaded = again[group.id]
                assert isinstance(loaded, ClassicGroup)
                assert (loaded.record(), loaded.state) == (group.record(), group.state)


def _told(response: Message) -> str:
    if isinstance(response, DescribedGroup):
        members = [f"{each.member_id}={each.member_assignment.decode()}" for each in response.members]
        words = [response.group_state, response.protocol_type or "-", response.protocol_data or "-", *members]
        return " ".join(words)
    assert isinstance(response, Answered)
    code = ErrorCode(response.error_code)
    if isinstance(response, JoinGroupResponse) and code is ErrorCode.MEMBER_ID_REQUIRED:
        return f"{code.name} {response.member_id}"
    if code is not ErrorCode.NONE:
        return code.name
    if isinstance(response, JoinGroupResponse):
        members = " ".join(member.member_id for member in response.members)
        role = f"leads {members}" if members else f"follows {response.leader}"
        skips = ", nothing to assign" if response.skip_assignment else ""
        return f"generation {response.generation_id} {response.protocol_name} as {response.member_id}, {role}{skips}"
    if isinstance(response, SyncGroupResponse):
        return f"assigned {response.assignment.decode() or 'nothing'}"
    if isinstance(response, LeaveGroupResponse) and response.members:
        rows = [(row.member_id or row.group_instance_id, ErrorCode(row.error_code).name) for row in response.members]
        return ", ".join(f"{who} {code}" for who, code in rows)
    return "ok"


def _written(value: GroupMetadataValue | None) -> str:
    if value is None:
        return "record: deleted"
    if not value.members:
        return f"record: generation {value.generation}, empty"
    members = " ".join(f"{member.member_id}={member.assignment.decode()}" for member in value.members)
    return f"record: generation {value.generation}, {value.leader} leads: {members}"
