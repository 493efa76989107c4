"""How a classic group gets from one generation to the next.

    Empty -> PreparingRebalance -> CompletingRebalance -> Stable
              everyone joins        the leader assigns

Joins wait until every member has joined, or the longest of the members' rebalance timeouts is over: who has not come
by then is out, unless it is static. The first rebalance of an empty group waits for a fixed time instead, and again as
long as somebody new comes (KIP-134). Then all joins are answered, the leader's with everybody's metadata; followers'
syncs wait for the leader's, and who does not sync within the rebalance timeout is out.

Every function appends to the `step` what it asks for: answers, and the record of a group that became empty.
"""

from __future__ import annotations

import logging

from kbroker_wire import ErrorCode

from ..machine import Now, Step
from ..timers import Timers
from .classic import ClassicGroup, State
from .classic_answers import dismiss, end_join, end_sync, joined, members_of, not_assigned
from .classic_member import ClassicMember
from .context import JOIN, SYNC, TimerKey
from .settings import ClassicSettings

log = logging.getLogger(__name__)

ABSENT_RETRY_MS = 1000  # at least so long it waits again for static members of whom none came


class Rebalances:
    """The rebalances of one shard's classic groups."""

    def __init__(self, settings: ClassicSettings, timers: Timers[TimerKey]) -> None:
        self._settings, self._timers = settings, timers

    def loaded(self, group: ClassicGroup, now: Now, step: Step) -> None:
        """The group was read from the log: its members' sessions begin now, as nobody knows when they were last heard.

        A group that is larger than is allowed by now gets a chance to commit its offsets and to shrink.
        """
        for member in group.members.values():
            group.heard_of(member, now.s)
        if len(group.members) > self._settings.max_size:
            self.prepare(group, now, step, f"it has {len(group.members)} members, {self._settings.max_size} may be")

    # -- joining ---------------------------------------------------------------------------------------------------

    def prepare_or_complete(self, group: ClassicGroup, now: Now, step: Step, reason: str) -> None:
        """Somebody came, went, or changed: begin a rebalance, or end the join of the one that runs if all are there."""
        if group.state is State.PREPARING_REBALANCE:
            self.complete_if_all_joined(group, now, step)
        else:
            self.prepare(group, now, step, reason)

    def prepare(self, group: ClassicGroup, now: Now, step: Step, reason: str) -> None:
        """Begin a rebalance; none may be running."""
        assert group.state is not State.PREPARING_REBALANCE
        log.info("group %s rebalances in generation %d: %s", group.id, group.generation, reason)
        if group.state is State.COMPLETING_REBALANCE:
            self.take_assignments_back(group, now, step, ErrorCode.REBALANCE_IN_PROGRESS)
        group.to_sync.clear()
        self._timers.cancel((SYNC, group.id, ""))
        group.was_empty = group.state is State.EMPTY
        group.enter(State.PREPARING_REBALANCE, now.ms)
        if group.was_empty:
            self._wait_for_more(group, now, step)
        elif group.all_joined:
            self.complete(group, now, step)
        else:
            self._timers.set((JOIN, group.id, ""), now.s + group.rebalance_timeout_ms / 1000)

    def complete_if_all_joined(self, group: ClassicGroup, now: Now, step: Step) -> None:
        """End the join early. Not of a group that was empty: more may come."""
        if group.state is State.PREPARING_REBALANCE and group.all_joined and not group.was_empty:
            self.complete(group, now, step)

    def complete(self, group: ClassicGroup, now: Now, step: Step) -> None:
        """End the join: a new generation of those who are there."""
        self._timers.cancel((JOIN, group.id, ""))
        late = [each for each in group.members.values() if each.join_ticket is None and each.instance_id is None]
        for member in late:
            log.info("group %s: member %s did not join the rebalance in time", group.id, member.id)
            dismiss(group, member, step)
        if group.members and not group.elect():
            wait_ms = max(group.rebalance_timeout_ms, ABSENT_RETRY_MS)
            self._timers.set((JOIN, group.id, ""), now.s + wait_ms / 1000)
            return
        group.next_generation(now.ms)
        log.info("group %s: generation %d has %d members", group.id, group.generation, len(group.members))
        if not group.members:
            step.records.append(group.record())
            return
        everyone = members_of(group)
        for member in group.members.values():
            group.heard_of(member, now.s)
            member.is_new = False
            end_join(group, member, joined(group, member, everyone if member.id == group.leader else []), step)
        self._timers.set((SYNC, group.id, ""), now.s + group.rebalance_timeout_ms / 1000)

    # -- the first rebalance ---------------------------------------------------------------------------------------

    def _wait_for_more(self, group: ClassicGroup, now: Now, step: Step) -> None:
        delay_ms = self._settings.initial_rebalance_delay_ms
        group.grew = False
        if delay_ms <= 0:
            self.complete(group, now, step)
            return
        group.wait_ms = delay_ms
        group.rest_ms = max(group.rebalance_timeout_ms - delay_ms, 0)
        self._timers.set((JOIN, group.id, ""), now.s + delay_ms / 1000)

    def join_is_over(self, group: ClassicGroup, now: Now, step: Step) -> None:
        """The timer JOIN ran out."""
        if group.state is not State.PREPARING_REBALANCE:
            return
        if not (group.was_empty and group.grew and group.rest_ms):
            self.complete(group, now, step)
            return
        group.grew = False
        wait_ms = min(self._settings.initial_rebalance_delay_ms, group.rest_ms)
        group.rest_ms = max(group.rest_ms - group.wait_ms, 0)
        group.wait_ms = wait_ms
        self._timers.set((JOIN, group.id, ""), now.s + wait_ms / 1000)

    # -- assigning -------------------------------------------------------------------------------------------------

    def synced(self, group: ClassicGroup, member: ClassicMember) -> None:
        """The member asked for its assignment."""
        group.to_sync.discard(member.id)
        if not group.to_sync:
            self._timers.cancel((SYNC, group.id, ""))

    def sync_is_over(self, group: ClassicGroup, now: Now, step: Step) -> None:
        """The timer SYNC ran out: who has not asked for its assignment is out."""
        late = [group.members[member_id] for member_id in group.to_sync if member_id in group.members]
        if not late:
            return
        for member in late:
            dismiss(group, member, step)
        names = ", ".join(member.id for member in late)
        self.prepare(group, now, step, f"members did not ask for their assignment in time: {names}")

    def take_assignments_back(self, group: ClassicGroup, now: Now, step: Step, code: ErrorCode) -> None:
        """Who waits for its assignment is refused with `code`, and is to join again."""
        for member in group.members.values():
            member.assignment = b""
            if end_sync(member, not_assigned(code), step):
                group.heard_of(member, now.s)

    # -- who goes --------------------------------------------------------------------------------------------------

    def session_is_over(self, group: ClassicGroup, member_id: str, now: Now, step: Step) -> None:
        """The timer SESSION ran out."""
        member = group.members.get(member_id)
        if member is None:
            if member_id not in group.pending:
                return
            group.remove_pending(member_id)
        elif member.is_excused:
            return  # its session begins anew when it is answered
        else:
            dismiss(group, member, step)
        if group.state is State.PREPARING_REBALANCE:
            if group.all_joined:
                self.complete(group, now, step)
        elif member is not None:
            self.prepare(group, now, step, f"member {member_id} has been silent for too long")
