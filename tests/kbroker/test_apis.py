"""The table of served APIs: every row has its code, and nothing is loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kbroker.apis import APIS, Dispatch
from kbroker_wire import ErrorCode
from kbroker_wire.messages.find_coordinator import FindCoordinatorRequest
from kbroker_wire.messages.produce import ProduceRequest
from message_tables import at_version, message_strategy

API_VERSIONS = 18


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_every_served_version_has_a_table_and_a_handler(api):
    served = Dispatch()[api.key]
    assert (served.request.key, served.response.key) == (api.key, api.key)
    assert served.request.__name__ == f"{api.name}Request"
    for message in (served.request, served.response):
        assert api.first in message.versions
        assert api.last in message.versions
    assert api.advertised_first <= api.first <= api.last
    assert callable(served.handle)


@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_every_api_can_say_in_every_version_that_a_request_failed_as_a_whole(api, data):
    served = Dispatch()[api.key]
    assert served.refuse is not None
    version = data.draw(st.integers(api.first, api.last))
    request = served.request.decode(_request(data, served.request, version), version)
    answer = served.refuse(request, ErrorCode.UNKNOWN_SERVER_ERROR)
    assert served.response.decode(answer.encode(version), version) is not None


def _request(data, table, version):
    flexible = version >= table.flexible_from
    request = at_version(data.draw(message_strategy(table)), version, flexible)
    if isinstance(request, ProduceRequest):
        request.acks = 1  # a failed one without acks has no answer
    if isinstance(request, FindCoordinatorRequest) and version >= 4 and not request.coordinator_keys:
        request.coordinator_keys = ["group"]
    return request.encode(version)


def test_keys_are_unique_and_what_is_not_served_is_a_key_error():
    assert len({api.key for api in APIS}) == len(APIS)
    with pytest.raises(KeyError):
        Dispatch()[999]


def test_starting_loads_no_handler_but_those_every_client_needs():
    code = "import sys, kbroker.broker; print(*sorted(n for n in sys.modules if n.startswith('kbroker.handlers.')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(out) <= {"kbroker.handlers.api_versions", "kbroker.handlers.produce"}
