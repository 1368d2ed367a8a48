"""Archives that mean harm, and what an unpacking leaves, against zipfile's own reading."""

import shutil
import stat
import struct
import zipfile

import pytest

from starter.errors import UserError
from starter.kaggle import unzip
from starter.kaggle.unzip import Damaged, unpack

FILES = {"cls_data/a.jpg": b"one" * 500, "cls_data/deep/b.jpg": b"two", "labels.txt": b""}


def archive(path, members, **kinds):
    """members: name -> bytes. kinds: name's index -> st_mode of that member."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for i, (name, content) in enumerate(members):
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = kinds.get(f"m{i}", stat.S_IFREG | 0o644) << 16
            made.writestr(info, content)
    return path


@pytest.fixture
def place(tmp_path):
    return tmp_path / "here" / "data"


def everything(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_what_is_unpacked_is_what_was_packed_and_a_second_time_changes_nothing(tmp_path, place):
    path = archive(tmp_path / "x.zip", [("cls_data/", b""), *FILES.items()])
    files = unpack(path, place)
    assert everything(place) == FILES
    with zipfile.ZipFile(path) as opened:
        wanted = {(i.file_size, i.CRC, i.filename) for i in opened.infolist() if not i.is_dir()}
    assert set(files) == wanted
    times = {p: p.stat().st_mtime_ns for p in place.rglob("*")}
    (place / "cls_data/deep/b.jpg").unlink()  # as after an interruption: only this one is written
    assert unpack(path, place) == files and everything(place) == FILES
    unchanged = [p for p in times if p.is_file() and p.stat().st_mtime_ns == times[p]]
    assert len(unchanged) == 2


OUTSIDE = ["/etc/passwd", "../x.jpg", "a/../../x.jpg", "..", "..\\x.jpg", "\\\\server\\share\\x"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_outside_and_nothing_is_written(tmp_path, place, name):
    path = archive(tmp_path / "x.zip", [("fine.jpg", b"1"), (name, b"2")])
    before = everything(tmp_path)
    with pytest.raises(UserError, match="leads outside") as caught:
        unpack(path, place)
    assert repr(name) in str(caught.value) and "\n" not in str(caught.value)
    assert everything(tmp_path) == before and not place.exists()


def test_a_link_in_an_archive_is_a_file(tmp_path, place):
    path = archive(tmp_path / "x.zip", [("way", b"/etc")], m0=stat.S_IFLNK | 0o777)
    unpack(path, place)
    assert not (place / "way").is_symlink() and everything(place) == {"way": b"/etc"}


def test_a_link_that_was_there_before_leads_nowhere(tmp_path, place):
    (tmp_path / "elsewhere").mkdir()
    place.mkdir(parents=True)
    (place / "cls_data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="leads outside"):
        unpack(archive(tmp_path / "x.zip", FILES.items()), place)
    (place / "cls_data").unlink()
    (tmp_path / "secret").write_bytes(b"mine")
    (place / "labels.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=r"labels\.txt exists"):
        unpack(archive(tmp_path / "x.zip", FILES.items()), place)
    unpack(tmp_path / "x.zip", place, replace=True)
    assert (tmp_path / "secret").read_bytes() == b"mine" and everything(place) == FILES


def test_more_than_the_disk_holds_is_refused_before_it_is_written(tmp_path, place, monkeypatch):
    path = archive(tmp_path / "x.zip", [("a.bin", bytes(10**6)), ("b.bin", bytes(10**6))])
    assert path.stat().st_size < 5000  # a small bomb
    usage = shutil.disk_usage(tmp_path)
    free = unzip.SPARE + 1_500_000
    monkeypatch.setattr(unzip.shutil, "disk_usage", lambda _: usage._replace(free=free))
    with pytest.raises(UserError, match=r"unpacks to 2\.0 MB more, .* 269\.9 MB free: make room"):
        unpack(path, place)
    assert everything(place) == {}
    (place / "a.bin").write_bytes(bytes(10**6))  # it is there already, so half the room is enough
    assert len(unpack(path, place)) == 2


def test_a_member_that_lies_about_its_size_writes_no_more(tmp_path, place):
    path = archive(tmp_path / "x.zip", [("a.bin", bytes(10**6))])
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # both say 10 bytes
        where = data.index(mark) + at
        data[where : where + 4] = struct.pack("<I", 10)
    path.write_bytes(data)
    with pytest.raises(Damaged):
        unpack(path, place)
    assert everything(place) == {}


@pytest.mark.parametrize("spoil", ["cut", "flipped", "text", "empty"])
def test_a_damaged_archive_is_told_and_leaves_no_half_file(tmp_path, place, spoil):
    path = archive(tmp_path / "x.zip", FILES.items())
    data = bytearray(path.read_bytes())
    if spoil == "flipped":
        data[data.index(b"cls_data/deep/b.jpg") + 20] ^= 255
    path.write_bytes({"cut": data[:-30], "text": b"hello", "empty": b""}.get(spoil, data))
    with pytest.raises(Damaged):
        unpack(path, place)
    left = everything(place) if place.exists() else {}
    assert left.items() <= FILES.items()


@pytest.mark.parametrize(
    ("name", "content"), [("labels.txt", b"mine"), ("cls_data/deep/b.jpg", b"TWO")]
)
def test_files_of_the_users_own_are_kept_unless_replaced(tmp_path, place, name, content):
    (place / name).parent.mkdir(parents=True)
    (place / name).write_bytes(content)
    path = archive(tmp_path / "x.zip", FILES.items())
    with pytest.raises(UserError, match=f"{name} exists .*--to DIR.*--force"):
        unpack(path, place)
    assert everything(place) == {name: content}
    unpack(path, place, replace=True)
    assert everything(place) == FILES
