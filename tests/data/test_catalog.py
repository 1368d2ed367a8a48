import io
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from starter.data import Catalog, Pairs, load_catalog
from starter.data.decode import fit, read_image
from starter.errors import UserError
from tests.data.trees import competition, picture, section

SMOOTH = picture(1, (40, 30, 3))


def encoded(kind: str, mode: str = "RGB", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(SMOOTH).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "options", "tolerance"),
    [
        ("PNG", "RGB", {}, 0),
        ("PNG", "L", {}, 0),
        ("PNG", "1", {}, 0),
        ("PNG", "P", {}, 0),
        ("PNG", "RGBA", {}, 0),
        ("PNG", "LA", {}, 0),
        ("BMP", "RGB", {}, 0),
        ("BMP", "P", {}, 0),
        ("PPM", "RGB", {}, 0),
        ("PPM", "L", {}, 0),
        ("TIFF", "RGB", {}, 0),
        ("TIFF", "CMYK", {}, 1),
        ("TIFF", "L", {"compression": "tiff_lzw"}, 0),
        ("WEBP", "RGB", {"lossless": True}, 0),
        ("JPEG", "RGB", {}, 1),
        ("JPEG", "L", {}, 0),
        ("JPEG", "CMYK", {}, 2),
        ("JPEG", "RGB", {"progressive": True}, 1),
        ("GIF", "P", {}, 0),
    ],
)
def test_every_kind_reads_as_pil_shows_it(tmp_path, kind, mode, options, tolerance):
    data = encoded(kind, mode, **options)
    path = tmp_path / "image"
    path.write_bytes(data)
    image = read_image(path)
    assert image.dtype == np.uint8 and image.shape == (40, 30, 3)
    wanted = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(image - wanted).max() <= tolerance


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_become_their_high_byte(tmp_path, kind):
    deep = (SMOOTH[..., 0].astype(np.uint16) << 8) + 77
    Image.fromarray(deep).save(tmp_path / "image", kind)
    image = read_image(tmp_path / "image").astype(int)
    assert np.abs(image - SMOOTH[..., :1]).max() <= 1


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_exif_rotation_is_applied(tmp_path, kind, turn):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = turn
    path = tmp_path / "image"
    Image.fromarray(SMOOTH).save(path, kind, exif=exif)
    wanted = np.asarray(ImageOps.exif_transpose(Image.open(path))).astype(int)
    image = read_image(path)
    assert image.shape == wanted.shape and np.abs(image - wanted).max() <= 1


@pytest.mark.parametrize(
    "data",
    [
        encoded("JPEG"),
        encoded("JPEG", progressive=True),
        encoded("PNG"),
        encoded("BMP"),
        encoded("PPM"),
        encoded("WEBP"),
        encoded("TIFF"),
        encoded("JPEG", exif=b"Exif\0\0" + encoded("JPEG")),
    ],
    ids=["jpeg", "progressive", "png", "bmp", "ppm", "webp", "tiff", "jpeg-with-thumbnail"],
)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.95, 0.99])
def test_a_truncated_file_is_refused_with_its_path(tmp_path, data, share):
    path = tmp_path / "cut.jpg"
    path.write_bytes(data)
    read_image(path)
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"cut\.jpg: "):
        read_image(path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty file"),
        (b"hello, not an image", "cannot be decoded"),
        (b"\xff\xd8", "truncated JPEG"),
        (b"\x89PNG\r\n\x1a\n", "truncated PNG"),
        (encoded("PNG")[:-12] + b"\0" * 8 + b"IEND", "cannot be decoded"),
    ],
)
def test_what_is_no_image_is_refused_with_its_path(tmp_path, data, said):
    if b"IEND" in data:  # damage in the middle
        data = data[:100] + bytes(200) + data[300:]
    (tmp_path / "bad.png").write_bytes(data)
    with pytest.raises(UserError, match=said) as caught:
        read_image(tmp_path / "bad.png")
    assert "bad.png" in str(caught.value) and "\n" not in str(caught.value)


def test_bytes_after_the_end_marker_are_fine_an_absent_file_and_a_folder_are_not(tmp_path):
    (tmp_path / "image").write_bytes(encoded("JPEG") + b"a maker's note" * 500)
    assert read_image(tmp_path / "image").shape == (40, 30, 3)
    for path, said in ((tmp_path / "none.jpg", "cannot be read"), (tmp_path, "no regular file")):
        with pytest.raises(UserError, match=said):
            read_image(path)


@pytest.mark.parametrize("shape", [(64, 64, 3), (48, 32, 3), (8, 100, 3), (5, 7, 3), (16, 16, 3)])
def test_fit_gives_a_square_and_keeps_the_mean(shape):
    image_HWC = picture(3, shape)
    image = fit(image_HWC, 16, 3)
    assert image.shape == (16, 16, 3) and image.dtype == np.uint8
    assert abs(image.mean() - image_HWC.mean()) < 6
    if shape == (64, 64, 3):  # shrinking by a whole factor is the mean of each area
        wanted = image_HWC.reshape(16, 4, 16, 4, 3).mean((1, 3))
        assert np.abs(image - wanted).max() <= 0.5001
    if shape[:2] == (16, 16):
        assert np.array_equal(image, image_HWC)


def test_grey():
    grey_HWC = np.repeat(picture(3, (16, 16, 1)).reshape(16, 16, 1), 3, 2)
    assert np.array_equal(fit(grey_HWC, 16, 1), grey_HWC[..., :1])
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 255
    assert (fit(red, 16, 1) == 76).all()  # 0.299 of red: the channels are RGB, not BGR


def test_index_and_names(tmp_path):
    catalog = load_catalog(section(competition(tmp_path)))
    parts = [catalog.index(split) for split in ("train", "dev", "test", "verify")]
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(catalog)))
    assert all((np.diff(part) > 0).all() for part in parts)
    assert (catalog.root / catalog.names[3]).is_file()
    assert catalog.label_N.dtype == np.int64 and catalog.split_N.dtype == np.uint8


def test_the_fingerprint_is_the_datas_not_the_places(tmp_path):
    first = load_catalog(section(competition(tmp_path / "a")))
    shutil.copytree(tmp_path / "a", tmp_path / "b" / "nested")
    for path in (tmp_path / "b").rglob("*.jpg"):
        os.utime(path, ns=(0, 0))
    copy = load_catalog(section(tmp_path / "b"))
    assert copy.fingerprint() == first.fingerprint() and len(first.fingerprint()) == 64
    assert copy.sources() != first.sources() and copy.place() != first.place()


def test_the_fingerprint_changes_with_whatever_is_known(tmp_path):
    catalog = load_catalog(section(competition(tmp_path)))
    val = catalog.pairs["val"]
    label_N, split_N = catalog.label_N.copy(), catalog.split_N.copy()
    label_N[0], split_N[0] = 2, 1
    others = [
        replace(catalog, label_N=label_N),
        replace(catalog, split_N=split_N),
        replace(catalog, classes=("0", "1", "x")),
        replace(catalog, pairs={"val": val}),
        replace(catalog, pairs=catalog.pairs | {"val": Pairs(val.b_P, val.a_P, val.same_P)}),
        replace(catalog, pairs=catalog.pairs | {"val": Pairs(val.a_P, val.b_P, None)}),
        replace(catalog, pairs=catalog.pairs | {"val": Pairs(val.a_P, val.b_P, ~val.same_P)}),
    ]
    prints = {other.fingerprint() for other in [catalog, *others]}
    path = catalog.path(5)
    path.write_bytes(path.read_bytes() + b"x")
    prints.add(replace(catalog).fingerprint())  # one file is a byte longer
    assert len(prints) == 9


def test_an_arrays_content_counts():
    array_N = np.zeros((4, 8, 8), np.uint8)
    labels, splits = np.array([0, 1, 0, 1]), np.zeros(4, np.uint8)
    names = [f"train/{i}" for i in range(4)]
    first = Catalog(None, names, labels, splits, ("0", "1"), {}, array_N)
    second = Catalog(None, names, labels, splits, ("0", "1"), {}, array_N + 1)
    assert first.fingerprint() != second.fingerprint() and first.sources() != second.sources()
    assert first.image(2).shape == (8, 8, 3)
