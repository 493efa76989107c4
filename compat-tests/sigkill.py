"""SIGKILLs a broker over and over under load, and checks that it kept what it promised.

    python sigkill.py --kills 200                   against kbroker; --broker apache for the same from Apache Kafka
    python sigkill.py --kills 200 --seed 42 --judge
    python sigkill.py --kills 200 --load transactions --franz-go --judge
    python sigkill.py --kills 200 --load transactions --set kbroker.durability=relaxed

The loads: `records`, of producers with acks=all (kills/records.py), and `transactions`, of transactional producers,
consume-transform-produce, and groups that commit offsets (kills/transactions.py). Most kills come at a random moment
under load, some while the broker recovers from the one before. In the end everything is read, and history.py or
transaction_history.py compares.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import kills.records
import kills.transactions
from brokers import QUICK_GROUPS, own_broker
from dump_log_segments import judge
from program_clients import go_command

# Apache Kafka fences the successor of a killed broker until the old session ends.
SETTINGS: dict[str, object] = {"broker.session.timeout.ms": 1000, "broker.heartbeat.interval.ms": 200}
# A member that was about to leave when the broker was killed is expected back for 45 s by default.
SHORT_SESSIONS: dict[str, object] = {
    "group.consumer.session.timeout.ms": 6000,
    "group.consumer.min.session.timeout.ms": 6000,
}
KAFKA_PYTHON_WRITER = (sys.executable, str(Path(__file__).with_name("transactional_writer.py")))


def main() -> int:
    arguments = _arguments()
    print(f"seed {arguments.seed}", flush=True)
    settings = SETTINGS | QUICK_GROUPS | SHORT_SESSIONS | dict(each.split("=", 1) for each in arguments.set)
    with own_broker(arguments.broker, settings, arguments.port) as broker, tempfile.TemporaryDirectory() as built:
        draw = random.Random(arguments.seed)
        report: kills.records.Report | kills.transactions.Report
        if arguments.load == "records":
            report = kills.records.run(broker, arguments.kills, draw)
        else:
            programs: dict[str, Sequence[str]] = {"kafka_python": KAFKA_PYTHON_WRITER}
            if arguments.franz_go:
                programs["franz_go"] = go_command(Path(built))
            report = kills.transactions.run(broker, arguments.kills, draw, arguments.transaction_timeout_ms, programs)
        print(report, flush=True)
        findings = []
        if arguments.judge:
            broker.stop()
            findings = judge(Path(broker.log_dir))
            print(f"DumpLogSegments: {len(findings)} findings", *findings[:20], sep="\n")
    return 1 if report.faults or findings else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="SIGKILL a broker under load and check what it promised.")
    parser.add_argument("--broker", choices=["kbroker", "apache"], default="kbroker")
    parser.add_argument("--load", choices=["records", "transactions"], default="records")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32), help="moments of the kills; printed")
    parser.add_argument("--port", type=int, default=0, help="of the broker; it picks one by default")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the broker")
    parser.add_argument("--transaction-timeout-ms", type=int, default=10_000, help="of every transactional producer")
    parser.add_argument("--franz-go", action="store_true", help="one more writer of transactions; needs Go")
    parser.add_argument("--judge", action="store_true", help="let Apache's DumpLogSegments read the folder afterwards")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
