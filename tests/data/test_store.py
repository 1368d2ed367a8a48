import errno
import json
import logging
import multiprocessing
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from starter.data import load_catalog, load_pack, store
from starter.data.decode import fit, read_image
from starter.errors import UserError
from tests.data.test_sets import write_mnist
from tests.data.trees import class_folders, competition, section, write


@pytest.fixture
def catalog(tmp_path):
    """200 images: several blocks."""
    class_folders(tmp_path / "set", {"a": 90, "b": 110})
    return load_catalog(section(tmp_path / "set", "folders"))


def files(cache: Path) -> list[str]:
    return sorted(path.suffix for path in cache.iterdir())


def count_builds(monkeypatch) -> list:
    built: list = []
    real = store._build
    monkeypatch.setattr(store, "_build", lambda *a: (built.append(a), real(*a))[1])
    return built


@pytest.mark.parametrize(("size", "channels"), [(8, 3), (8, 1), (12, 3), (5, 1)])
def test_pack_equals_the_files_pixel_for_pixel(tmp_path, catalog, size, channels):
    packed = load_pack(catalog, size, channels, tmp_path / "cache")
    assert packed.shape == (200, size, size, channels) and packed.dtype == np.uint8
    assert isinstance(packed, np.memmap) and not packed.flags.writeable
    for i in range(len(catalog)):
        plain = cv2.imread(str(catalog.path(i)))[..., ::-1]  # an oracle of its own: BGR -> RGB
        if size == 8 and channels == 3:
            assert np.array_equal(packed[i], plain)
        assert np.array_equal(packed[i], fit(np.ascontiguousarray(plain), size, channels))
    assert files(tmp_path / "cache") == [".json", ".u8"]


def test_pillow_reads_the_same_pixels(tmp_path):
    from PIL import Image

    catalog = load_catalog(section(competition(tmp_path / "set")))
    packed = load_pack(catalog, 8, 3, tmp_path / "cache")
    for i in range(len(catalog)):
        wanted = np.asarray(Image.open(catalog.path(i))).astype(int)
        assert np.abs(packed[i] - wanted).max() <= 1


def test_an_array_set(tmp_path):
    kept = write_mnist(tmp_path, (60, 20))
    catalog = load_catalog(section(tmp_path, "mnist"))
    packed = load_pack(catalog, 28, 1, tmp_path / "cache")
    assert np.array_equal(packed[..., 0], np.concatenate([kept["train"], kept["t10k"]]))
    assert load_pack(catalog, 32, 3, tmp_path / "cache").shape == (80, 32, 32, 3)


def test_built_once_and_again_when_a_source_changes(tmp_path, catalog, monkeypatch):
    built = count_builds(monkeypatch)
    cache, root = tmp_path / "cache", section(tmp_path / "set", "folders")
    first = load_pack(catalog, 8, 3, cache)
    load_pack(load_catalog(root), 8, 3, cache)
    assert len(built) == 1
    path = catalog.path(7)
    write(path, 12345)
    os.utime(path, ns=(1, 1))
    second = load_pack(load_catalog(root), 8, 3, cache)
    assert len(built) == 2 and not np.array_equal(first[7], second[7])
    assert np.array_equal(np.delete(first, 7, 0), np.delete(second, 7, 0))
    assert len(list(cache.iterdir())) == 2  # the old one is replaced, not kept
    path.unlink()
    load_pack(load_catalog(root), 8, 3, cache)  # other names: another pack
    assert len(built) == 3 and len(list(cache.iterdir())) == 4


def damage_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        damage_byte,
        Path.unlink,
        lambda path: path.with_suffix(".json").unlink(),
        lambda path: path.with_suffix(".json").write_text("{"),
        lambda path: path.with_suffix(".json").write_text("[]"),
        lambda path: path.with_suffix(".json").write_text(
            json.dumps(json.loads(path.with_suffix(".json").read_text()) | {"version": 0})
        ),
    ],
    ids=["short", "flipped-bit", "gone", "no-json", "half-json", "list-json", "old-version"],
)
def test_a_damaged_pack_is_rebuilt(tmp_path, catalog, monkeypatch, damage):
    built = count_builds(monkeypatch)
    wanted = np.array(load_pack(catalog, 8, 3, tmp_path / "cache"))
    damage(next((tmp_path / "cache").glob("*.u8")))
    assert np.array_equal(load_pack(catalog, 8, 3, tmp_path / "cache"), wanted)
    assert len(built) == 2


def build_at_once(root, cache, barrier, queue):
    catalog = load_catalog(section(root, "folders"))
    barrier.wait()
    queue.put(int(load_pack(catalog, 8, 3, cache).sum()))


def test_two_processes_at_once(tmp_path, catalog):
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(2), context.Queue()
    arguments = (tmp_path / "set", tmp_path / "cache", barrier, queue)
    workers = [context.Process(target=build_at_once, args=arguments) for _ in range(2)]
    for worker in workers:
        worker.start()
    sums = [queue.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join(60)
    assert sums[0] == sums[1] == int(load_pack(catalog, 8, 3, tmp_path / "other").sum())
    assert files(tmp_path / "cache") == [".json", ".u8"]


def test_undecodable_images_are_all_counted_and_nothing_stays(tmp_path, catalog):
    catalog.path(3).write_bytes(b"")
    with pytest.raises(UserError) as caught:
        load_pack(catalog, 8, 3, tmp_path / "cache")
    assert str(caught.value) == f"{catalog.path(3)}: empty file (0 bytes)"
    for i in (50, 120, 121, 122, 150, 199):
        catalog.path(i).write_bytes(b"\x89PNG\r\n\x1a\n...")
    with pytest.raises(UserError) as caught:
        load_pack(catalog, 8, 3, tmp_path / "cache")
    message = str(caught.value)
    assert message.startswith(f"7 of 200 images cannot be used: {catalog.path(3)}: empty file")
    assert str(catalog.path(122)) in message and str(catalog.path(150)) not in message
    assert message.endswith("and 2 more") and "\n" not in message
    assert files(tmp_path / "cache") == []


def test_a_disk_that_fills_up_names_the_key_and_leaves_nothing(tmp_path, catalog, monkeypatch):
    def write_some(catalog, shape, how, file):
        file.write(b"x")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "_write_images", write_some)
    with pytest.raises(UserError, match=r"data\.cache: .*disk is full"):
        load_pack(catalog, 8, 3, tmp_path / "cache")
    assert files(tmp_path / "cache") == []


def test_a_full_disk_leaves_the_old_pack(tmp_path, catalog, monkeypatch):
    wanted = np.array(load_pack(catalog, 8, 3, tmp_path / "cache"))
    os.utime(catalog.path(0), ns=(1, 1))
    again = load_catalog(section(tmp_path / "set", "folders"))
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: free)
    with pytest.raises(UserError, match=r"data\.cache: .*disk is full"):  # before decoding
        load_pack(again, 8, 3, tmp_path / "cache")
    monkeypatch.undo()
    assert np.array_equal(load_pack(catalog, 8, 3, tmp_path / "cache"), wanted)


def test_a_cache_that_is_a_file(tmp_path, catalog):
    (tmp_path / "cache").write_text("")
    with pytest.raises(UserError, match=r"data\.cache: "):
        load_pack(catalog, 8, 3, tmp_path / "cache")


def test_leftovers_of_killed_processes_are_swept(tmp_path, catalog):
    cache = tmp_path / "cache"
    cache.mkdir()
    for name, age in (("old.u8.1-a.part", 3600), ("new.u8.2-b.part", 10)):
        (cache / name).write_bytes(b"x")
        os.utime(cache / name, (time.time() - age,) * 2)
    load_pack(catalog, 8, 3, cache)
    assert [path.name for path in cache.glob("*.part")] == ["new.u8.2-b.part"]


def test_opencv_is_left_as_it_was_and_a_line_is_logged(tmp_path, catalog, caplog):
    messages = getattr(cv2.utils, "logging", cv2)
    before = cv2.getNumThreads(), messages.getLogLevel()
    with caplog.at_level(logging.INFO):
        load_pack(catalog, 8, 3, tmp_path / "cache")
    assert (cv2.getNumThreads(), messages.getLogLevel()) == before
    assert [r.message.split()[0] for r in caplog.records] == ["packing", "packed"]


def real_faces() -> Path | None:
    """The archive of the folder that STARTER_DATA names."""
    path = Path(os.environ.get("STARTER_DATA", "")) / "faces-competition.zip"
    return path if path.is_file() else None


@pytest.mark.skipif(real_faces() is None, reason="STARTER_DATA does not hold faces-competition.zip")
def test_real_faces(tmp_path):
    import zipfile

    with zipfile.ZipFile(real_faces()) as archive:
        archive.extractall(tmp_path / "set")
    catalog = load_catalog(section(tmp_path / "set"))
    assert len(catalog.classes) == 70
    counts = [len(catalog.index(split)) for split in ("train", "dev", "test")]
    assert counts == [4169, 557, 1147]
    assert len(catalog.pairs["val"].a_P) == 1000 and len(catalog.pairs["test"].a_P) == 3000
    packed = load_pack(catalog, 64, 3, tmp_path / "cache")
    assert packed.shape == (len(catalog), 64, 64, 3) and packed[:, ::8, ::8].std() > 30


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("make", [os.mkfifo, lambda p: p.symlink_to("/dev/zero"), Path.mkdir])
def test_what_is_no_regular_file_is_told_at_once(tmp_path, make):
    path = tmp_path / "a.jpg"
    make(path)
    with pytest.raises(UserError, match=r"a\.jpg: no regular file"):
        read_image(path)
