"""What every form of files must do; the folders that the log makes of them are in the other tests."""

import pytest

from kbroker_storage import Locked


@pytest.fixture
def folder(ground):
    ground.files.make_directory(ground.directory)
    return ground.directory


def test_a_file_holds_what_was_appended_to_it(files, folder):
    file = files.open(f"{folder}/a", create=True)
    file.append([b"one", bytearray(b"two"), memoryview(b"three")], 11, 0)
    file.append([b"!"], 1, 11)
    assert file.size() == 12
    assert file.read(0, 100) == b"onetwothree!"
    assert file.read(3, 3) == b"two"
    assert file.read(12, 5) == b""
    assert files.open(f"{folder}/a").read(6, 6) == b"three!"


def test_appending_below_the_end_overwrites_from_there(files, folder):
    file = files.open(f"{folder}/a", create=True)
    file.append([b"abcdef"], 6, 0)
    file.truncate(4)
    file.append([b"XY"], 2, 2)
    assert file.read(0, 10) == b"abXY"


def test_read_into_fills_what_the_file_has(files, folder):
    file = files.open(f"{folder}/a", create=True)
    file.append([b"abc"], 3, 0)
    file.append([b"def"], 3, 3)
    buffer = bytearray(4)
    assert file.read_into(1, memoryview(buffer)) == 4
    assert buffer == b"bcde"
    assert file.read_into(4, memoryview(buffer)) == 2
    assert buffer == b"efde"


def test_a_slice_gives_its_range_and_knows_where_it_lies(files, folder):
    file = files.open(f"{folder}/a", create=True)
    file.append([b"0123456789"], 10, 0)
    piece = file.slice(3, 4)
    assert (piece.position, piece.nbytes) == (3, 4)
    assert piece.read() == b"3456"
    assert b"".join(piece.buffers()) == b"3456"
    piece.sync()
    piece.close()
    piece.close()


def test_a_slice_outlives_the_files_name_and_what_is_written_later(files, folder):
    file = files.open(f"{folder}/a", create=True)
    file.append([b"0123456789"], 10, 0)
    piece = file.slice(2, 5)
    assert file.leased() or piece.fileno() == -1
    file.append([b"more"], 4, 10)
    file.close()
    file.remove()
    assert piece.read() == b"23456"
    piece.close()
    assert not file.leased()
    assert files.entries(folder) == {}


def test_opening_needs_the_file_or_leave_to_create_it(files, folder):
    with pytest.raises(FileNotFoundError):
        files.open(f"{folder}/none")
    with pytest.raises(FileNotFoundError):
        files.open(f"{folder}/no/folder", create=True)
    files.open(f"{folder}/a", create=True).append([b"x"], 1, 0)
    assert files.open(f"{folder}/a", create=True).size() == 1


def test_truncating_beyond_the_end_adds_zeros(files, folder):
    file = files.open(f"{folder}/a", create=True)
    file.append([b"ab"], 2, 0)
    file.truncate(5)
    assert file.read(0, 10) == b"ab\0\0\0"


def test_entries_tell_sizes_and_folders(files, folder):
    files.open(f"{folder}/a", create=True).append([b"abc"], 3, 0)
    files.make_directory(f"{folder}/sub")
    assert files.entries(folder) == {"a": 3, "sub": -1}
    with pytest.raises(FileNotFoundError):
        files.entries(f"{folder}/none")


def test_replace_puts_all_bytes_in_place_and_leaves_nothing_beside(files, folder):
    path = f"{folder}/checkpoint"
    files.replace(path, b"first, and longer", sync=False)
    before = files.open(path)
    before.slice(0, 5).close()
    files.replace(path, b"second", sync=True)
    assert files.read(path) == b"second"
    assert files.entries(folder) == {"checkpoint": 6}
    files.replace(path, bytes(200_000), sync=False)
    assert files.read(path) == bytes(200_000)
    files.replace(path, b"", sync=False)
    assert files.read(path) == b""


def test_make_directory_names_the_folders_whose_entries_changed(files, folder):
    assert files.make_directory(f"{folder}/one/two") == [folder, f"{folder}/one"]
    assert files.make_directory(f"{folder}/one/two") == []
    assert files.exists(f"{folder}/one/two")


def test_rename_moves_files_and_whole_folders(files, folder):
    files.open(f"{folder}/a", create=True).append([b"abc"], 3, 0)
    files.open(f"{folder}/b", create=True)
    files.rename(f"{folder}/a", f"{folder}/b")
    assert files.entries(folder) == {"b": 3}
    files.make_directory(f"{folder}/old/deep")
    files.replace(f"{folder}/old/deep/c", b"c", sync=False)
    files.rename(f"{folder}/old", f"{folder}/new")
    assert files.read(f"{folder}/new/deep/c") == b"c"
    assert not files.exists(f"{folder}/old")
    assert files.entries(folder) == {"b": 3, "new": -1}
    with pytest.raises(FileNotFoundError):
        files.rename(f"{folder}/none", f"{folder}/some")


def test_removing_what_is_gone_is_no_error(files, folder):
    files.make_directory(f"{folder}/tree/deep")
    files.replace(f"{folder}/tree/deep/c", b"c", sync=False)
    files.remove_tree(f"{folder}/tree")
    files.remove_tree(f"{folder}/tree")
    files.remove(f"{folder}/none")
    file = files.open(f"{folder}/a", create=True)
    files.remove(f"{folder}/a")
    file.remove()
    assert files.entries(folder) == {}


def test_syncing_what_is_gone_is_no_error(files, folder):
    files.replace(f"{folder}/a", b"c", sync=False)
    files.sync_path(f"{folder}/a")
    files.sync_path(f"{folder}/none")
    files.sync_directory(folder)
    files.sync_directory(f"{folder}/none")


def test_a_lock_is_held_by_one_until_it_is_closed(files, folder):
    lock = files.lock(f"{folder}/.lock")
    with pytest.raises(Locked, match="locked by another"):
        files.lock(f"{folder}/.lock")
    lock.close()
    lock.close()
    files.lock(f"{folder}/.lock").close()
    assert files.entries(folder) == {".lock": 0}
