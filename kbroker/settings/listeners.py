"""`listeners` and `advertised.listeners`: NAME://HOST:PORT, separated by commas."""

from __future__ import annotations

import re
from typing import NamedTuple

from .setting import ConfigError

_ENDPOINT = re.compile(
    r"(?P<name>[^:/]+)://(?:\[(?P<v6>[0-9a-fA-F:.%]*)\]|(?P<host>[0-9a-zA-Z\-%._]*)):(?P<port>[0-9]+)", re.ASCII
)
PER_IP_OVERRIDES = "max.connections.per.ip.overrides"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_WILDCARDS = ("0.0.0.0", "::")  # noqa: S104  # told apart here, not bound to


class Listener(NamedTuple):
    """One address to listen at. `host` is "" for every interface; port 0 lets the system pick one."""

    name: str
    host: str
    port: int
    protocol: str


def parse_endpoints(key: str, endpoints: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """Names (in capitals, as Kafka has them), hosts without brackets, and ports. Raises ConfigError."""
    return [_endpoint(key, text) for text in endpoints]


def _endpoint(key: str, text: str) -> tuple[str, str, int]:
    match = _ENDPOINT.fullmatch(text)
    if match is None or int(match["port"]) > 65535:
        raise ConfigError.invalid(
            key, text, "Unable to parse a listener", "NAME://HOST:PORT, port 0 to 65535, IPv6 in []"
        )
    return match["name"].upper(), match["v6"] or match["host"] or "", int(match["port"])


def parse_protocols(key: str, text: str) -> dict[str, str]:
    """`listener.security.protocol.map`: listener name -> security protocol. Raises ConfigError."""
    protocols = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        name, _, protocol = (part.strip().upper() for part in pair.partition(":"))
        if not name or protocol not in PROTOCOLS:
            raise ConfigError.invalid(key, pair, "Unable to parse a listener's protocol", f"NAME:{'|'.join(PROTOCOLS)}")
        protocols[name] = protocol
    return protocols


def client_listeners(
    endpoints: tuple[str, ...], protocols: dict[str, str], controllers: tuple[str, ...]
) -> tuple[list[Listener], list[str]]:
    """The listeners to open, and the names of those left out because they are a controller's.

    Raises ConfigError: no listener, a name or a port twice, a protocol that is unknown or does not work yet.
    """
    key, shown = "listeners", ",".join(endpoints)
    found = parse_endpoints(key, endpoints)
    names = [name for name, _, _ in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError.invalid(key, shown, f"Each listener must have a different name, and {name} comes twice")
    addresses = [(host, port) for _, host, port in found if port]
    for host, port in addresses:
        if addresses.count((host, port)) > 1:
            raise ConfigError.invalid(key, shown, f"Each listener must have a different port, and {port} comes twice")
    opened = [
        Listener(*each, _protocol(key, each[0], shown, protocols)) for each in found if each[0] not in controllers
    ]
    if not opened:
        raise ConfigError.invalid(key, shown, "There must be at least one listener for clients", "NAME://HOST:PORT,...")
    return opened, [name for name in names if name in controllers]


def _protocol(key: str, name: str, shown: str, protocols: dict[str, str]) -> str:
    if name not in protocols:
        why = f"No security protocol is given for listener {name} in listener.security.protocol.map"
        raise ConfigError.invalid(key, shown, why, ", ".join(protocols))
    if protocols[name] != "PLAINTEXT":
        why = f"Listener {name} has the security protocol {protocols[name]}, which kbroker does not speak yet"
        raise ConfigError.invalid(key, shown, why, "PLAINTEXT")
    return protocols[name]


def advertised_addresses(
    endpoints: tuple[str, ...], listeners: list[Listener], controllers: tuple[str, ...]
) -> dict[str, tuple[str, int]]:
    """Listener name -> host and port that clients are told. Raises ConfigError."""
    key, shown = "advertised.listeners", ",".join(endpoints)
    known = [listener.name for listener in listeners]
    told: dict[str, tuple[str, int]] = {}
    for name, host, port in parse_endpoints(key, endpoints):
        if name in controllers:
            continue
        if name not in known:
            raise ConfigError.invalid(key, shown, f"{name} is not one of the listeners", ", ".join(known))
        if not host or host in _WILDCARDS:
            why = f"{name} must advertise a host that clients can reach, not {host or 'all interfaces'}"
            raise ConfigError.invalid(key, shown, why)
        if name in told:
            raise ConfigError.invalid(key, shown, f"{name} comes twice")
        told[name] = (host, port)
    return told


def with_port(endpoints: str, port: int, controllers: tuple[str, ...] = ()) -> str:
    """The same listeners, the only one for clients at another port. Raises ConfigError when there are several."""
    found = parse_endpoints("listeners", tuple(part.strip() for part in endpoints.split(",")))
    if sum(name not in controllers for name, _, _ in found) != 1:
        raise ConfigError("listeners", endpoints, f"--port means one listener, not {endpoints}")
    moved = [(name, host, was if name in controllers else port) for name, host, was in found]
    return ",".join(f"{name}://{f'[{host}]' if ':' in host else host}:{number}" for name, host, number in moved)


def parse_overrides(text: str) -> dict[str, int]:
    """`max.connections.per.ip.overrides`: "host:count,host:count". Raises ConfigError."""
    pairs = (item.strip() for item in text.split(",") if item.strip())
    overrides = {}
    for pair in pairs:
        host, _, count = pair.rpartition(":")
        if not host or not count.isdecimal():
            raise ConfigError.invalid(
                PER_IP_OVERRIDES, pair, "Unable to parse an address and its limit", "HOST:COUNT,..."
            )
        overrides[host] = int(count)
    return overrides
