"""Every client in groups that rebalance (old and new protocol), with commits across restarts, in transactions."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from apache_kafka import KafkaUnavailable
from brokers import QUICK_GROUPS, Broker, OwnBroker, own_broker
from program_clients import Failed, NotHere
from raw_kafka.connection import Connection
from step_programs import PROGRAMS, Lack, Line, StepProgram, judge, not_served, run

COUNT, FULL_COUNT = 10, 1000  # records in a partition at a time
# Apache Kafka fences a crashed broker's successor until the old session ends; the default is 9 s.
RESTARTED_SOON: dict[str, object] = {"broker.session.timeout.ms": 1000, "broker.heartbeat.interval.ms": 200}
ENDINGS: dict[str, Callable[[OwnBroker], None]] = {
    "after a clean stop": lambda broker: broker.stop(),
    "after SIGKILL": lambda broker: broker.kill(),
}
NONE = 0


def by_name(program: StepProgram) -> str:
    return program.name


@pytest.fixture(scope="session")
def size(request: pytest.FixtureRequest) -> int:
    return FULL_COUNT if request.config.getoption("--full") else COUNT


@pytest.fixture
def prefix() -> str:
    return f"s{uuid.uuid4().hex[:10]}"


def skip_unless_served(broker: Broker, step: str) -> None:
    if missing := not_served(broker.host, broker.port, step):
        pytest.skip(f"the broker does not serve {', '.join(missing)}")


def skip_lack(lack: Lack | None) -> None:
    if lack is not None:
        pytest.skip(str(lack))


@pytest.mark.parametrize("step", ["group", "group848", "transactions", "ctp"])
@pytest.mark.parametrize("program", PROGRAMS, ids=by_name)
def test_a_client_does_the_step(
    group_broker: Broker, programs_folder: Path, program: StepProgram, step: str, prefix: str, size: int
) -> None:
    skip_lack(program.lacks.get(step))
    skip_unless_served(group_broker, step)
    try:
        command = program.command(programs_folder)
    except NotHere as reason:
        pytest.skip(str(reason))
    judge(step, run(command, group_broker.bootstrap, step, prefix, size), size)
    if step.startswith("group"):
        assert group_type(group_broker, f"{prefix}-{step}") == ("classic" if step == "group" else "consumer")


def group_type(broker: Broker, group: str) -> str:
    """A client may fall back to the classic protocol without a word, so the broker is asked which one it was."""
    with Connection(broker.host, broker.port) as connection:
        answer = connection.call("ListGroups", 5, states_filter=[], types_filter=[])
    assert answer.error_code == NONE
    (found,) = (each.group_type for each in answer.groups if each.group_id == group)
    return str(found).lower()


@dataclass(slots=True)
class Restarted:
    """A broker that was ended and started again, and what each client saw and committed before."""

    broker: OwnBroker
    prefix: str
    commands: dict[str, tuple[str, ...]] = field(default_factory=dict)
    before: dict[str, list[Line]] = field(default_factory=dict)
    trouble: dict[str, NotHere | Failed] = field(default_factory=dict)


@pytest.fixture(scope="module", params=ENDINGS)
def restarted(request: pytest.FixtureRequest, target: str, programs_folder: Path, size: int) -> Iterator[Restarted]:
    """One restart for all clients: each has committed before it."""
    if target not in ("kbroker", "apache"):
        pytest.skip(f"needs a broker of its own; {target} belongs to somebody else")
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(own_broker(target, QUICK_GROUPS | RESTARTED_SOON))
        except KafkaUnavailable as reason:
            pytest.skip(str(reason))
        skip_unless_served(broker, "commits-before")
        found = Restarted(broker, f"s{uuid.uuid4().hex[:10]}")
        for program in PROGRAMS:
            try:
                found.commands[program.name] = command = program.command(programs_folder)
                prefix = f"{found.prefix}-{program.name}"
                found.before[program.name] = run(command, broker.bootstrap, "commits-before", prefix, size)
            except (NotHere, Failed) as trouble:
                found.trouble[program.name] = trouble
        ENDINGS[request.param](broker)
        broker.start()
        yield found


@pytest.mark.parametrize("program", PROGRAMS, ids=by_name)
def test_committed_offsets_are_there_after_a_restart(restarted: Restarted, program: StepProgram, size: int) -> None:
    trouble = restarted.trouble.get(program.name)
    if isinstance(trouble, NotHere):
        pytest.skip(str(trouble))
    if trouble is not None:
        raise trouble
    judge("commits-before", restarted.before[program.name], size)
    command, prefix = restarted.commands[program.name], f"{restarted.prefix}-{program.name}"
    judge("commits-after", run(command, restarted.broker.bootstrap, "commits-after", prefix, size), size)


@pytest.mark.parametrize(
    ("phase", "wrong"),
    [
        ("shared", {"owned": [[0, 1, 2], [2, 3]], "read": [30, 20]}),  # a partition with two owners
        ("shared", {"owned": [[0, 1, 2, 3], []], "read": [40, 0]}),
        ("sum", {"read": 121, "distinct": 120, "committed": {"0": 30, "1": 30, "2": 30, "3": 30}}),
        ("sum", {"read": 120, "distinct": 120, "committed": {"0": 30, "1": 30, "2": 30, "3": 29}}),
    ],
)
def test_the_judge_finds_what_is_wrong_with_a_group(phase: str, wrong: dict[str, object]) -> None:
    alone = {"owned": [[0, 1, 2, 3]], "read": [40]}
    right: dict[str, dict[str, object]] = {
        "alone": alone,
        "shared": {"owned": [[0, 1], [2, 3]], "read": [20, 20]},
        "alone again": alone,
        "sum": {"read": 120, "distinct": 120, "committed": {"0": 30, "1": 30, "2": 30, "3": 30}},
    }
    judge("group", lines("group", right), COUNT)
    with pytest.raises(AssertionError):
        judge("group", lines("group", right | {phase: wrong}), COUNT)


def lines(step: str, details: dict[str, dict[str, object]]) -> list[Line]:
    return [Line(step, phase, True, told) for phase, told in details.items()]
