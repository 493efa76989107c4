"""The one screen that `kbroker dev` prints when it is ready: where it is, how to connect, what differs from Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SCREEN = """\

Connect to {address}, for example
  kafka-python     KafkaProducer(bootstrap_servers="{address}").send("greetings", b"hello").get()
  confluent-kafka  Producer({{"bootstrap.servers": "{address}"}})
  kcat             echo hello | kcat -b {address} -t greetings -P    and    kcat -b {address} -t greetings -C -e
  Java             kafka-console-producer.sh --bootstrap-server {address} --topic greetings

Data             {data}
Other than Kafka's defaults (change with --set key=value):
{overrides}

Clients behind NAT, in a container or on another machine need an address that reaches this one:
  --listeners PLAINTEXT://0.0.0.0:{port} --set advertised.listeners=PLAINTEXT://my.host.name:{port}
Stop with Ctrl-C.
"""


def welcome(addresses: Sequence[str], data_dir: str | None, overrides: Mapping[str, str]) -> str:
    """The screen as text.

    addresses   HOST:PORT of each listener; the first one is shown
    data_dir    where the data is, None when it is in memory only
    overrides   the settings in force that are not Kafka's defaults, by name
    """
    width = max(map(len, overrides), default=0)
    lines = [f"  {name:<{width}} = {value}" for name, value in overrides.items()]
    data = "in memory only: gone when this process ends" if data_dir is None else data_dir
    port = addresses[0].rpartition(":")[2]
    listed = "\n".join(lines) or "  none"
    return _SCREEN.format(address=addresses[0], port=port, data=data, overrides=listed)
