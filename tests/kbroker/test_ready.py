"""Ready-made answers hold for one image, and their number is bounded."""

from kbroker.metadata.image import Image
from kbroker.ready import MAX_ANSWERS, ReadyAnswers


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
