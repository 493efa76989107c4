"""Ready-made answers: encoded once, sent to everybody who asks the same until the metadata image changes.

Their questions are kept too, so no question may be much larger than its answer.
"""

from __future__ import annotations

from collections.abc import Hashable

from .metadata.image import Image

MAX_ANSWERS = 1000  # kept at a time; every client of a service asks for the same topics
MAX_BYTES = 16 * 1024 * 1024  # of them all; an answer about 10,000 partitions has half a megabyte


class ReadyAnswers:
    def __init__(self) -> None:
        self._image: Image | None = None
        self._bodies: dict[Hashable, bytes] = {}
        self._bytes = 0

    def get(self, image: Image, question: Hashable) -> bytes | None:
        """The answer that was kept for `question` under this very image."""
        return self._bodies.get(question) if image is self._image else None

    def keep(self, image: Image, question: Hashable, body: bytes) -> bytes:
        """`body` again, kept for the next who asks."""
        if image is not self._image or len(self._bodies) >= MAX_ANSWERS or self._bytes + len(body) > MAX_BYTES:
            self._image, self._bytes = image, 0
            self._bodies.clear()
        if len(body) <= MAX_BYTES:
            self._bodies[question] = body
            self._bytes += len(body)
        return body
