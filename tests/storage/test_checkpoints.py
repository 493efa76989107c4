"""Kafka's checkpoint files."""

import pytest

from kbroker_storage import Corrupt
from kbroker_storage.checkpoints import OffsetCheckpoint


def test_offsets_come_back_as_written(ground, files):
    checkpoint = OffsetCheckpoint(files, f"{ground.directory}/recovery-point-offset-checkpoint")
    assert checkpoint.read() == {}
    checkpoint.write({("topic.a", 0): 17, ("b_c-d", 12): 0}, sync=True)
    assert files.read(f"{ground.directory}/recovery-point-offset-checkpoint") == b"0\n2\ntopic.a 0 17\nb_c-d 12 0\n"
    assert checkpoint.read() == {("topic.a", 0): 17, ("b_c-d", 12): 0}
    checkpoint.write({}, sync=False)
    assert checkpoint.read() == {}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"1\n0\n", "version '1'"),
        (b"", "version ''"),
        (b"0\n", "no count"),
        (b"0\nx\n", "no count"),
        (b"0\n1\nt 0 5", "within a line"),
        (b"0\n2\nt 0 5\n", "says 2 entries, has 1"),
        (b"0\n1\nt 0\n", "not enough values"),
        (b"0\n1\nt 0 five\n", "five"),
        (b"\xff\xfe", "codec"),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_the_reason(ground, files, data, why):
    path = f"{ground.directory}/checkpoint"
    files.replace(path, data, sync=False)
    with pytest.raises(Corrupt, match=why):
        OffsetCheckpoint(files, path).read()
