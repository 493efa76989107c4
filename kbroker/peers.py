"""The door through which coordinators and partitions reach each other: request objects to a broker, by its id.

To this broker itself an answer is a function call away. Nothing goes around this door, so that what works on one
broker works between several.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from kbroker_wire.schema import Message

from .call import Call, Parked

if TYPE_CHECKING:
    from .broker import Broker

log = logging.getLogger(__name__)

Answered = Callable[[Message | None], None]


class Peers:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def ask(self, node: int, request: Message, version: int, answered: Answered) -> None:
        """Send `request` to a broker; `answered` gets the response, before this returns if it is there at once.

        It gets None when the broker can not be reached, or failed: ask again later.
        """
        broker = self._broker
        key = type(request).key
        if node != broker.node_id or key is None:
            answered(None)
            return
        served = broker.dispatch[key]
        assert served.answer is not None, f"{served.name} can not be asked of a peer"
        call = Call(version, None, "", ("", -1))
        try:
            answer = served.answer(request, call, broker)
        except Exception:  # the boundary between who asks and who is asked, as between two processes
            log.exception("%s of a peer failed", served.name)
            answered(None)
            return
        if isinstance(answer, Message):
            answered(answer)
            return
        assert isinstance(answer, Parked)
        _when_ready(answer, answered)


def _when_ready(parked: Parked, answered: Answered) -> None:
    def ready() -> None:
        response = None
        try:
            response = parked.answer()
        except Exception:  # as above
            log.exception("a request of a peer failed")
        assert not isinstance(response, (bytes, tuple))
        parked.drop()
        answered(response)

    if parked.ready:
        ready()
    else:
        parked.on_ready = ready
