"""The groups of one partition of `__consumer_offsets`: who of the parts serves which request, record and deadline."""

from __future__ import annotations

from collections.abc import Callable, Collection

from kbroker_wire import ErrorCode
from kbroker_wire.messages.consumer_group_heartbeat import ConsumerGroupHeartbeatRequest
from kbroker_wire.messages.coordinator_records import GROUP_RECORDS, UnknownCoordinatorRecord, decode_record
from kbroker_wire.messages.delete_groups import DeletableGroupResult
from kbroker_wire.messages.describe_groups import DescribedGroup, DescribedGroupMember
from kbroker_wire.messages.group_records import (
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)
from kbroker_wire.messages.heartbeat import HeartbeatRequest
from kbroker_wire.messages.join_group import JoinGroupRequest
from kbroker_wire.messages.leave_group import LeaveGroupRequest, LeaveGroupResponse, MemberIdentity
from kbroker_wire.messages.list_groups import ListedGroup
from kbroker_wire.messages.sync_group import SyncGroupRequest

from ...config import BrokerConfig
from ...errors import Refusal
from ...metadata.image import GROUP_RESOURCE, Delta, Image
from ..machine import Client, Now, Step
from .classic import ClassicGroup, State
from .classic_members import ClassicMembers
from .classic_requests import ClassicRequests
from .consumer_describe import describe
from .consumer_group import ConsumerGroup
from .consumer_groups import ConsumerGroups
from .consumer_requests import ConsumerRequests
from .consumer_settings import ConsumerSettings, GroupTimes
from .context import JOIN, SESSION, SYNC, Context
from .group import Group
from .migration import Migration
from .offsets import OFFSETS, Offsets, OffsetSettings
from .settings import ClassicSettings

MEMBERS = 3  # the version of LeaveGroup from which it names several members (KIP-345)


class GroupShard:
    """The machine of one partition of `__consumer_offsets`."""

    def __init__(self, config: BrokerConfig, new_id: Callable[[], str], image: Image) -> None:
        self.context = Context(new_id, image)
        self._config = config
        self.classic = ClassicRequests(self.context, ClassicSettings.from_config(config))
        self._consumers = ConsumerGroups(self.context, ConsumerSettings.from_config(config), self._times)
        migration = Migration(self._consumers, self.classic.rebalances)
        self._members = ConsumerRequests(self._consumers, migration)
        self._classic_members = ClassicMembers(self._consumers, migration)
        self.offsets = Offsets(self.context, OffsetSettings.from_config(config), self._new_simple_group)

    def _new_simple_group(self, group_id: str) -> Group:
        """For offsets that somebody commits without being a member of anything."""
        group = self.context.groups[group_id] = ClassicGroup(group_id, self.context.timers, None)
        return group

    def _times(self, group_id: str) -> GroupTimes:
        return self._config.group(self.context.image.config(GROUP_RESOURCE, group_id))

    # -- requests of members ---------------------------------------------------------------------------------------

    def join(self, request: JoinGroupRequest, client: Client, version: int, ticket: object, now: Now) -> Step:
        self.classic.check_join(request)
        group = self.context.groups.get(request.group_id)
        if isinstance(group, ConsumerGroup) and not group.is_empty:
            return self._classic_members.join(group, request, client, version, now)
        return self.classic.join(request, client, version, ticket, now)

    def sync(self, request: SyncGroupRequest, ticket: object, now: Now) -> Step:
        group = self._group_of_member(request.group_id)
        if isinstance(group, ConsumerGroup):
            return self._classic_members.sync(group, request, now)
        return self.classic.sync(group, request, ticket, now)

    def heartbeat(self, request: HeartbeatRequest, now: Now) -> Step:
        group = self._group_of_member(request.group_id)
        if isinstance(group, ConsumerGroup):
            return self._classic_members.heartbeat(group, request, now)
        return self.classic.heartbeat(group, request, now)

    def leave(self, request: LeaveGroupRequest, version: int, now: Now) -> Step:
        """Before version 3 a request is about one member, and the answer's code is its own."""
        if version >= MEMBERS:
            return self._leave(request.group_id, request.members, now)
        step = self._leave(request.group_id, [MemberIdentity(member_id=request.member_id)], now)
        assert isinstance(step.response, LeaveGroupResponse)
        step.response = LeaveGroupResponse(error_code=step.response.members[0].error_code)
        return step

    def _leave(self, group_id: str, members: list[MemberIdentity], now: Now) -> Step:
        group = self._group_of_member(group_id)
        if isinstance(group, ConsumerGroup):
            return self._classic_members.leave(group, members, now)
        return self.classic.leave(group, members, now)

    def _group_of_member(self, group_id: str) -> ClassicGroup | ConsumerGroup:
        """Where a member of the classic protocol can be. Raises Refusal."""
        group = self.context.groups.get(group_id)
        if isinstance(group, (ClassicGroup, ConsumerGroup)):
            return group
        raise Refusal(ErrorCode.UNKNOWN_MEMBER_ID if group_id else ErrorCode.INVALID_GROUP_ID)

    def consumer_heartbeat(
        self, request: ConsumerGroupHeartbeatRequest, client: Client, version: int, now: Now
    ) -> Step:
        return self._members.heartbeat(request, client, version, now)

    # -- requests of administrators --------------------------------------------------------------------------------

    def listed(self, states: Collection[str], types: Collection[str]) -> list[ListedGroup]:
        """The groups in one of these states and of one of these types, in lower case; none named: any."""
        return [
            ListedGroup(
                group_id=group.id,
                protocol_type=group.protocol_type,
                group_state=group.state_name,
                group_type=group.type.value,
            )
            for group in self.context.groups.values()
            if (not states or group.state_name.lower() in states) and (not types or group.type.value in types)
        ]

    def describe(self, group_id: str) -> Step:
        """Raises Refusal: GROUP_ID_NOT_FOUND, also for a group that is not classic."""
        group = self._group(group_id)
        if not isinstance(group, ClassicGroup):
            raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} is not a classic group.")
        protocol = group.protocol_name if group.state is State.STABLE else None
        return Step(
            DescribedGroup(
                error_code=ErrorCode.NONE,
                group_id=group_id,
                group_state=group.state_name,
                protocol_type=group.protocol_type,
                protocol_data=protocol or "",
                members=[
                    DescribedGroupMember(
                        member_id=member.id,
                        group_instance_id=member.instance_id,
                        client_id=member.client.id,
                        client_host=member.client.host,
                        member_metadata=b"" if protocol is None else member.protocols[protocol],
                        member_assignment=member.assignment,
                    )
                    for member in group.members.values()
                ],
            )
        )

    def consumer_describe(self, group_id: str) -> Step:
        """Raises Refusal: GROUP_ID_NOT_FOUND, also for a group that is classic."""
        group = self._consumers.group(group_id)
        return Step(describe(group, self._consumers.settings.assignors[0], self.context.image))

    def delete(self, group_id: str) -> Step:
        """Raises Refusal: GROUP_ID_NOT_FOUND, NON_EMPTY_GROUP."""
        group = self._group(group_id)
        group.check_delete()
        step = Step(DeletableGroupResult(group_id=group_id, error_code=ErrorCode.NONE))
        step.records += self.offsets.forget_group(group_id)
        step.records.extend(group.tombstones())
        del self.context.groups[group_id]
        return step

    def _group(self, group_id: str) -> Group:
        group = self.context.groups.get(group_id)
        if group is None:
            raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} not found.")
        return group

    # -- time and news ---------------------------------------------------------------------------------------------

    @property
    def deadline(self) -> float | None:
        return self.context.timers.deadline

    def tick(self, now: Now) -> Step:
        step = Step()
        rebalances = self.classic.rebalances
        for kind, group_id, member_id in self.context.timers.due(now.s):
            if kind == OFFSETS:
                step.records += self.offsets.expire(now)
                continue
            group = self.context.groups.get(group_id)
            if isinstance(group, ConsumerGroup):
                self._members.time_is_up(group, member_id, now, step)
            if not isinstance(group, ClassicGroup):
                continue
            if kind == SESSION:
                rebalances.session_is_over(group, member_id, now, step)
            elif kind == JOIN:
                rebalances.join_is_over(group, now, step)
            elif kind == SYNC:
                rebalances.sync_is_over(group, now, step)
        return step

    def image_changed(self, image: Image, delta: Delta, now: Now) -> Step:
        """There is newer metadata of the cluster. No response."""
        del now
        self.context.image = image
        self._consumers.image_changed(delta)
        gone = [topic.name for topic in delta.removed.values()]
        return Step(records=self.offsets.forget_topics(gone) if gone else [])

    def end_transaction(self, producer_id: int, *, commit: bool) -> Step:
        """The marker of a transaction is in the partition. No response."""
        self.offsets.end_transaction(producer_id, commit=commit)
        return Step()

    # -- the log ---------------------------------------------------------------------------------------------------

    def replay(self, key: bytes | memoryview, value: bytes | memoryview | None, producer_id: int) -> None:
        try:
            found, content = decode_record(GROUP_RECORDS, key, value)
        except UnknownCoordinatorRecord:
            return
        if isinstance(found, GroupMetadataKey):
            assert content is None or isinstance(content, GroupMetadataValue)
            self.classic.replay(found, content)
        elif isinstance(found, OffsetCommitKey):
            assert content is None or isinstance(content, OffsetCommitValue)
            self.offsets.apply(found, content, producer_id)
        else:
            self._consumers.replay(found, content)

    def replay_end(self, producer_id: int, *, commit: bool) -> None:
        self.offsets.end_transaction(producer_id, commit=commit)

    def loaded(self, now: Now) -> Step:
        self.offsets.start_expiry(now)
        step = Step(records=self.offsets.forget_strangers())
        for group in self.context.groups.values():
            if isinstance(group, ClassicGroup):
                self.classic.rebalances.loaded(group, now, step)
            elif isinstance(group, ConsumerGroup):
                self._consumers.loaded(group, now)
        return step
