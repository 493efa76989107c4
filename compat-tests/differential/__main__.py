"""Compare two brokers: python -m differential [--left apache] [--right kbroker] [--only Metadata]  (in compat-tests/).

A broker is `apache`, `kbroker` or HOST:PORT. Both should be fresh: the cases create topics named diff-*.
Prints one paragraph for each kind of difference, with the versions that show it; ends with status 1 if there are any.
Differences that are meant (expected.py) are only counted, unless --all is given. kbroker checks every record here.
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import TypeAlias

from brokers import Broker, any_broker, own_broker
from raw_kafka.calls import READY_WITHIN_S
from raw_kafka.codec import BadAnswer
from raw_kafka.connection import Closed, Connection

from .admin import admin_cases
from .cases import Case, Fields, World, all_cases, build_world
from .compare import Difference, differences, flat
from .expected import reason_for
from .stories import all_stories, before
from .story import Story, told, unlike

NOT_YET = (14, 15)  # COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE: asked again until it is ready
# Both brokers decide when they are asked, not some time later, have room for few members, and keep old records.
AT_ONCE = {
    "group.initial.rebalance.delay.ms": 0,
    "group.consumer.assignment.interval.ms": 0,
    "group.max.size": 5,
    "group.consumer.max.size": 5,
    "log.retention.ms": -1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.num.partitions": 4,
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 100,
}
Answer = Mapping[str, object]
Told: TypeAlias = tuple[int, list[Difference]]


class Asker:
    """Puts cases to one broker, on a new connection whenever the last one was hung up on."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._connection = Connection(broker.host, broker.port)
        self.world: World = build_world(self._connection)

    def close(self) -> None:
        self._connection.close()

    def ask(self, case: Case, version: int) -> Answer:
        fields = case.ask(self.world, version)
        answer = self._once(case.api, version, fields)
        deadline = time.monotonic() + READY_WITHIN_S
        while any(value in NOT_YET for path, value in answer.items() if path.endswith("error_code")):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
            answer = self._once(case.api, version, fields)
        return answer

    def _once(self, api: str, version: int, fields: Fields) -> Answer:
        try:
            return flat(self._connection.call(api, version, **fields), self.world)
        except (Closed, BadAnswer, TimeoutError) as error:
            self._connection.close()
            self._connection = Connection(self._broker.host, self._broker.port)
            return {"outcome": "closed" if isinstance(error, Closed) else f"{type(error).__name__}: {error}"}


def compare(left: Asker, right: Asker, cases: Iterable[Case]) -> list[Difference]:
    found = []
    for case in cases:
        for version in case.versions:
            one, two = left.ask(case, version), right.ask(case, version)
            found += [Difference(case.api, case.title, version, *each) for each in differences(one, two)]
    return found


def compare_stories(left: tuple[Broker, World], right: tuple[Broker, World], stories: Iterable[Story]) -> Told:
    """How many requests each broker was asked, and what was different."""
    asked, found = 0, []
    for story in (before, *stories):
        one, two = (told(story, broker, world) for broker, world in (left, right))
        asked += len(one)
        found += unlike(story.__name__, one, two)
    return asked, found


def report(found: Iterable[Difference], left: str, right: str) -> None:
    """Same path and values in several cases and versions make one paragraph."""
    same: dict[tuple[str, str, str, str], dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for each in found:
        same[each.api, each.path, repr(each.left), repr(each.right)][each.title].append(each.version)
    for (api, path, one, two), titles in same.items():
        where = "; ".join(f"{title} (v{_span(versions)})" for title, versions in list(titles.items())[:6])
        more = f"; and {len(titles) - 6} more cases" if len(titles) > 6 else ""
        print(f"{api} {path}\n    {left}: {one}\n    {right}: {two}\n    in: {where}{more}")


def _span(versions: list[int]) -> str:
    first, last = min(versions), max(versions)
    if first == last:
        return str(first)
    return f"{first}-{last}" if len(versions) == last - first + 1 else ",".join(map(str, versions))


def main(argv: Sequence[str] | None = None) -> int:
    """0 if there is no difference that is not meant. `argv`: the command line's words, by default this process's."""
    parser = argparse.ArgumentParser(prog="python -m differential", description=__doc__.partition("\n")[0])
    parser.add_argument("--left", default="apache", help="apache (default), kbroker or HOST:PORT")
    parser.add_argument("--right", default="kbroker", help="kbroker (default), apache or HOST:PORT")
    parser.add_argument("--only", action="append", metavar="API", help="only cases of this API; may be repeated")
    parser.add_argument(
        "--story",
        action="append",
        metavar="NAME",
        help="only this story, or the stories of this module; may be repeated",
    )
    parser.add_argument("--all", action="store_true", help="print the differences that are meant as well")
    arguments = parser.parse_args(argv)
    chosen = arguments.only or arguments.story
    cases = [case for case in admin_cases() + all_cases() if not chosen or case.api in (arguments.only or ())]
    stories = [story for story in all_stories() if not chosen or _names(story) & set(arguments.story or ())]
    with ExitStack() as stack:
        brokers = [stack.enter_context(start(target)) for target in (arguments.left, arguments.right)]
        askers = []
        for broker in brokers:
            askers.append(Asker(broker))
            stack.callback(askers[-1].close)
        found = compare(askers[0], askers[1], cases)
        sides = [(broker, asker.world) for broker, asker in zip(brokers, askers, strict=True)]
        steps, differences = compare_stories(sides[0], sides[1], stories)
        found += differences
    meant = [each for each in found if reason_for(each)]
    shown = found if arguments.all else [each for each in found if not reason_for(each)]
    report(shown, arguments.left, arguments.right)
    asked = sum(len(case.versions) for case in cases) + steps
    print(f"{asked} requests, {len(found) - len(meant)} differences, {len(meant)} more that are meant")
    return 1 if len(found) > len(meant) else 0


def _names(story: Story) -> set[str]:
    return {story.__name__, story.__module__.rpartition(".")[2]}


def start(target: str) -> AbstractContextManager[Broker]:
    """A fresh broker in which groups rebalance at once; kbroker checks every record, as Kafka does."""
    if target not in ("apache", "kbroker"):
        return any_broker(target)
    checks = {"kbroker.validate": "records"} if target == "kbroker" else {}
    return own_broker(target, {**AT_ONCE, **checks})


if __name__ == "__main__":
    sys.exit(main())
