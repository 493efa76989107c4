"""The consumer groups of one shard (KIP-848): what they have in common, whichever request or deadline changes them.

A request opens a `Change` of its group, writes records to it, and closes it. Nothing that was refused has changed
anything: a group that is new, or that was made from a classic one, is put among the others only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from kbroker_wire import ErrorCode
from kbroker_wire.messages.group_records import ConsumerGroupMetadataKey
from kbroker_wire.schema import Message

from ...errors import Refusal
from ...metadata.image import Delta, Image
from ..machine import Now, Step
from .assignors import ASSIGNORS, MemberSpec
from .consumer_change import Change
from .consumer_group import ConsumerGroup, ResolvedRegex
from .consumer_member import Member, MemberState, Subscription, TopicPartitions
from .consumer_reconciliation import Goal, reconcile
from .consumer_settings import ConsumerSettings, GroupTimes
from .context import Context
from .metadata_hash import TopicHashes
from .regexes import Regexes, check_regex

# What a deadline of a member is for (the first part of a timer's key).
SESSION = "consumer session"  # it sends no heartbeats
REVOKE = "consumer revoke"  # it does not give up partitions
JOIN = "consumer join"  # it speaks the classic protocol, was told to join again, and does not
SYNC = "consumer sync"  # it speaks the classic protocol, has joined, and does not ask for its assignment

REGEX_REFRESH_S = 1.0  # how often a group may look for new topics. Kafka's 10 s make consumers of new topics wait


class ConsumerGroups:
    """Parts of requests that are about a member of a consumer group.

    times   what is set for a group, by its id
    """

    def __init__(self, context: Context, settings: ConsumerSettings, times: Callable[[str], GroupTimes]) -> None:
        self.context, self.settings, self.times = context, settings, times
        self._hashes = TopicHashes()
        self._regexes = Regexes()
        self._topics_version = 0

    # -- the group -------------------------------------------------------------------------------------------------

    def group(self, group_id: str) -> ConsumerGroup:
        """Raises Refusal (GROUP_ID_NOT_FOUND)."""
        group = self.context.groups.get(group_id)
        if isinstance(group, ConsumerGroup):
            return group
        why = "not found." if group is None else "is not a consumer group."
        raise Refusal(ErrorCode.GROUP_ID_NOT_FOUND, f"Group {group_id} {why}")

    def close(self, change: Change, step: Step) -> None:
        """Nothing can be refused any more."""
        self.context.groups[change.group.id] = change.group
        step.records += change.records
        if change.on_close is not None:
            change.on_close(step)

    def metadata_hash(self, group: ConsumerGroup) -> int:
        return self._hashes.of(group.subscribed_topics(), self.context.image)

    def check_room(self, group: ConsumerGroup, member_id: str, instance_id: str | None) -> None:
        """Raises Refusal (GROUP_MAX_SIZE_REACHED)."""
        most = self.settings.max_size
        if len(group.members) >= most and instance_id not in group.static_ids and member_id not in group.members:
            why = f"The consumer group has reached its maximum capacity of {most} members."
            raise Refusal(ErrorCode.GROUP_MAX_SIZE_REACHED, why)

    def check_regex(self, group: ConsumerGroup, subscription: Subscription) -> None:
        """Raises Refusal (INVALID_REGULAR_EXPRESSION)."""
        if subscription.regex and not group.subscribers_of_regex(subscription.regex):
            check_regex(subscription.regex)

    # -- what it subscribes to -------------------------------------------------------------------------------------

    def subscribe(self, change: Change, member_id: str, subscription: Subscription, now: Now) -> bool:
        """A member asks for this. The group's epoch goes up if that, or the topics, changed.

        Returns whether the member's own subscription changed. `check_regex` was passed.
        """
        group = change.group
        member = group.members.get(member_id)
        old = Subscription() if member is None else member.subscription
        preferred = group.preferred_assignor()
        last_of_regex = (
            bool(old.regex) and old.regex != subscription.regex and group.subscribers_of_regex(old.regex) == 1
        )
        if member is None or subscription != old:
            change.subscription(member_id, subscription)
        if last_of_regex and old.regex in group.regexes:
            change.regex(old.regex, None)
        resolved = self._resolve_regexes(change, now)
        changed = subscription.topics != old.topics or subscription.regex != old.regex
        default = self.settings.assignors[0]
        other_assignor = (preferred or default) != (group.preferred_assignor() or default)
        if changed or resolved or other_assignor or group.topics_version != self._topics_version:
            self._refresh(change, bump=changed or resolved or other_assignor)
        return changed

    def _resolve_regexes(self, change: Change, now: Now) -> bool:
        """Whether any of the group's regular expressions stands for other topics now."""
        group = change.group
        wanted = list(group.subscribed_regexes())
        if not wanted:
            return False
        is_due = group.regexes_version != self._topics_version and now.s >= group.regexes_at_s + REGEX_REFRESH_S
        differs = False
        for regex in wanted:
            known = group.regexes.get(regex)
            if known is None or is_due:
                topics = self._regexes.topics(regex, self.context.image)
                if known is None or topics != known.topics:
                    change.regex(regex, ResolvedRegex(topics, self.context.image.offset, now.ms))
                    differs = True
        if is_due:
            group.regexes_version, group.regexes_at_s = self._topics_version, now.s
        return differs

    def _refresh(self, change: Change, *, bump: bool) -> None:
        group = change.group
        metadata_hash = self.metadata_hash(group)
        if bump or metadata_hash != group.metadata_hash:
            change.epoch(group.epoch + 1, metadata_hash)
        group.topics_version = self._topics_version

    def replace(self, change: Change, old: Member, member_id: str) -> Member:
        """A static member is back, under another id as a rule."""
        self.cancel_timers(change.group.id, old.id)
        return change.replace(old, member_id)

    # -- who gets what ---------------------------------------------------------------------------------------------

    def assign(self, change: Change, now: Now) -> None:
        """Make a new target if the group's epoch is ahead of it, and the last one was made long enough ago."""
        group = change.group
        if group.target_epoch >= group.epoch:
            return
        if group.assigned_at_ms:
            interval_ms = self.times(group.id).consumer_assignment_interval_ms
            if 0 <= now.ms - group.assigned_at_ms < interval_ms:  # below 0: the wall clock was set back
                return
        image = self.context.image
        ids_of: dict[frozenset[str], frozenset[bytes]] = {}  # most members want the same
        specs: list[MemberSpec] = []
        for member in group.members.values():
            names = group.topics_of(member.subscription)
            ids = ids_of.get(names)
            if ids is None:
                ids = ids_of[names] = topic_ids(names, image)
            specs.append(MemberSpec(member.id, member.subscription.instance_id, ids, group.target_of(member)))
        partitions = {each: len(image.topics[each].partitions) for ids in ids_of.values() for each in ids}
        assignor = ASSIGNORS[group.preferred_assignor() or self.settings.assignors[0]]
        change.target(assignor(specs, partitions), now.ms)

    def reconcile(
        self,
        change: Change,
        member: Member,
        owned: Sequence[TopicPartitions] | None,
        now: Now,
        *,
        subscription_changed: bool,
    ) -> None:
        """Move the member on towards the target, if it can."""
        group = change.group
        if not subscription_changed and member.current.is_reconciled_to(group.target_epoch):
            return
        subscribed = topic_ids(group.topics_of(member.subscription), self.context.image)
        goal = Goal(group.target_epoch, group.target_of(member), subscribed, group.is_free)
        current = reconcile(member.current, goal, owned, subscription_changed=subscription_changed)
        if current == member.current:
            return
        change.current(member.id, current)
        if member.is_classic:
            return  # it is watched by when it joins and syncs
        if current.state is MemberState.UNREVOKED_PARTITIONS:
            self.set_timer(REVOKE, group.id, member.id, now, member.subscription.rebalance_timeout_ms)
        else:
            self.cancel_timer(REVOKE, group.id, member.id)

    # -- who goes --------------------------------------------------------------------------------------------------

    def remove(self, change: Change, members: Iterable[Member]) -> None:
        """These are members no more, and the group's epoch goes up."""
        group = change.group
        for member in members:
            change.remove(member.id)
            self.cancel_timers(group.id, member.id)
        wanted = set(group.subscribed_regexes())
        for regex in group.regexes.keys() - wanted:
            change.regex(regex, None)
        change.epoch(group.epoch + 1, self.metadata_hash(group))
        if not group.members:
            change.target_epoch(0)  # who comes next need not wait

    # -- time and news ---------------------------------------------------------------------------------------------

    def set_timer(self, kind: str, group_id: str, member_id: str, now: Now, timeout_ms: int) -> None:
        self.context.timers.set((kind, group_id, member_id), now.s + timeout_ms / 1000)

    def cancel_timer(self, kind: str, group_id: str, member_id: str) -> None:
        self.context.timers.cancel((kind, group_id, member_id))

    def cancel_timers(self, group_id: str, member_id: str) -> None:
        for kind in (SESSION, REVOKE, JOIN, SYNC):
            self.cancel_timer(kind, group_id, member_id)

    def expect_heartbeat(self, group: ConsumerGroup, member: Member, now: Now) -> None:
        classic = member.subscription.classic
        times = self.times(group.id)
        timeout_ms = times.consumer_session_timeout_ms if classic is None else classic.session_timeout_ms
        self.set_timer(SESSION, group.id, member.id, now, timeout_ms)

    def image_changed(self, delta: Delta) -> None:
        """The context has a newer image. Groups look at it when their members send heartbeats."""
        if delta.topics or delta.removed:
            self._topics_version += 1
            image: Image = self.context.image
            self._hashes.forget(image.topics[each].name for each in delta.topics if each in image.topics)
            self._hashes.forget(topic.name for topic in delta.removed.values())

    # -- the log ---------------------------------------------------------------------------------------------------

    def replay(self, key: Message, value: Message | None) -> None:
        """Apply a record of a consumer group. Tombstones of what is not there do nothing."""
        group_id: str = key.group_id  # type: ignore[attr-defined]  # all keys of consumer groups have it
        groups = self.context.groups
        group = groups.get(group_id)
        if not isinstance(group, ConsumerGroup):
            if value is None:
                return
            group = groups[group_id] = ConsumerGroup(group_id)  # instead of one that only has committed offsets
        elif value is None and isinstance(key, ConsumerGroupMetadataKey):
            del groups[group_id]
            return
        group.apply(key, value)

    def loaded(self, group: ConsumerGroup, now: Now) -> None:
        """Every member has its whole time again."""
        for member in group.members.values():
            self.expect_heartbeat(group, member, now)
            if member.current.state is MemberState.UNREVOKED_PARTITIONS:
                self.set_timer(REVOKE, group.id, member.id, now, member.subscription.rebalance_timeout_ms)


def static_member(group: ConsumerGroup, instance_id: str, member_id: str) -> Member:
    """Who has this instance id, which must be the one who asks.

    Raises Refusal: UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID.
    """
    member = group.static_member(instance_id)
    if member is None:
        raise Refusal(ErrorCode.UNKNOWN_MEMBER_ID, f"Instance id {instance_id} is unknown.")
    if member.id != member_id:
        why = f"Static member {member_id} with instance id {instance_id} was fenced by member {member.id}."
        raise Refusal(ErrorCode.FENCED_INSTANCE_ID, why)
    return member


def topic_ids(names: Iterable[str], image: Image) -> frozenset[bytes]:
    """Ids of those of these topics that exist."""
    known = image.topic_ids
    return frozenset(known[name] for name in names if name in known)
