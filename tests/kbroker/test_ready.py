"""Ready-made answers hold for one image, and their number is bounded."""

from kbroker.metadata.image import Image
from kbroker.ready import MAX_ANSWERS, MAX_BYTES, ReadyAnswers


def test_an_answer_is_kept_until_the_image_changes():
    ready, image = ReadyAnswers(), Image()
    assert ready.get(image, "question") is None
    assert ready.keep(image, "question", b"answer") == b"answer"
    assert ready.get(image, "question") == b"answer"
    newer = Image(offset=1)
    assert ready.get(newer, "question") is None
    ready.keep(newer, "other", b"new")
    assert ready.get(image, "question") is None


def test_only_so_many_answers_are_kept():
    ready, image = ReadyAnswers(), Image()
    for number in range(3 * MAX_ANSWERS):
        ready.keep(image, number, b"x")
        assert ready.get(image, number) == b"x"
    assert sum(ready.get(image, number) is not None for number in range(3 * MAX_ANSWERS)) <= MAX_ANSWERS


def test_the_bytes_of_what_is_kept_are_bounded():
    ready, image = ReadyAnswers(), Image()
    body = bytes(MAX_BYTES // 4)
    for number in range(10):
        assert ready.keep(image, number, body) is body
        kept = sum(len(ready.get(image, other) or b"") for other in range(10))
        assert 0 < kept <= MAX_BYTES
    too_large = bytes(MAX_BYTES + 1)
    assert ready.keep(image, "all", too_large) is too_large
    assert ready.get(image, "all") is None
