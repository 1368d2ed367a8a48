"""`data.fit`: each way against plain numpy and opencv; packs of several ways side by side."""

import json

import cv2
import numpy as np
import pytest

from starter.data import load_catalog, load_pack
from starter.data.decode import fit
from starter.data.inspect import inspect, table
from tests.data.trees import picture, section

SHAPES = [(64, 32), (32, 64), (112, 92), (9, 40), (300, 2), (16, 16), (5, 7)]


def means(image_HWC: np.ndarray, down: int, right: int) -> np.ndarray:
    """The mean of each area of down x right pixels."""
    height, width = image_HWC.shape[:2]
    return image_HWC.reshape(height // down, down, width // right, right, -1).mean((1, 3))


def resized(image_HWC: np.ndarray, high: int, wide: int) -> np.ndarray:
    """As the kit has it: areas where a side shrinks, then lines between pixels where one grows."""
    height, width = image_HWC.shape[:2]
    least = (min(width, wide), min(height, high))
    image_HWC = cv2.resize(image_HWC, least, interpolation=cv2.INTER_AREA)
    return cv2.resize(image_HWC, (wide, high), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("turned", [False, True])
def test_whole_factors_are_means_of_areas(turned):
    image_HWC = picture(1, (64, 32, 3))
    due = {
        "squash": means(image_HWC, 4, 2),
        "crop": means(image_HWC[16:48], 2, 2),
        "pad": np.pad(means(image_HWC, 4, 4), ((0, 0), (4, 4), (0, 0))),
    }
    for how, wanted in due.items():
        seen = fit(image_HWC.transpose(1, 0, 2), 16, 3, how).transpose(1, 0, 2)
        seen = seen if turned else fit(image_HWC, 16, 3, how)
        assert np.abs(seen - wanted).max() <= 0.5001, how


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_shape_against_opencv(shape, channels):
    image_HWC, size = picture(2, (*shape, 3)), 16
    (height, width), longest, shortest = shape, max(shape), min(shape)
    tall, long = (max(1, round(side * size / longest)) for side in shape)
    y, x = (height - shortest) // 2, (width - shortest) // 2
    top, left = (size - tall) // 2, (size - long) // 2
    middle = image_HWC[y : y + shortest, x : x + shortest]
    due = {
        "squash": resized(image_HWC, size, size),
        "crop": resized(middle, size, size),
        "pad": cv2.copyMakeBorder(
            resized(image_HWC, tall, long),
            *(top, size - tall - top, left, size - long - left),
            cv2.BORDER_CONSTANT,
        ),
    }
    for how, wanted in due.items():
        if channels == 1:
            wanted = cv2.cvtColor(wanted, cv2.COLOR_RGB2GRAY)[..., None]
        assert np.array_equal(fit(image_HWC, size, channels, how), wanted), how
    assert np.array_equal(fit(image_HWC, size, 3), due["squash"])


@pytest.mark.parametrize("shape", SHAPES)
def test_height_and_width_against_opencv(shape):
    image_HWC, (high, wide) = picture(3, (*shape, 3)), (32, 16)
    height, width = shape
    if height > 2 * width:  # too high for twice its width: rows go, or columns are filled up
        cut, pasted = (2 * width, width), (high, max(1, round(width * high / height)))
    else:
        cut, pasted = (height, max(1, round(height / 2))), (round(height * wide / width), wide)
    y, x = (height - cut[0]) // 2, (width - cut[1]) // 2
    top, left = (high - pasted[0]) // 2, (wide - pasted[1]) // 2
    padded = np.zeros((high, wide, 3), np.uint8)
    padded[top : top + pasted[0], left : left + pasted[1]] = resized(image_HWC, *pasted)
    part = image_HWC[y : y + cut[0], x : x + cut[1]]
    assert np.array_equal(fit(image_HWC, (high, wide), 3), resized(image_HWC, high, wide))
    assert np.array_equal(fit(image_HWC, (high, wide), 3, "pad"), padded)
    assert np.array_equal(fit(image_HWC, (high, wide), 3, "crop"), resized(part, high, wide))


@pytest.fixture
def photos(tmp_path):
    """Two classes of photos, 30 high and 20 wide, one of them 20 x 30."""
    for k in range(8):
        path = tmp_path / "set" / "ab"[k % 2] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), picture(k, (20, 30, 3) if k == 7 else (30, 20, 3)))
    return tmp_path / "set"


def test_packs_of_each_fit_lie_side_by_side(tmp_path, photos):
    catalog, cache = load_catalog(section(photos, "folders")), tmp_path / "cache"
    packs = {how: load_pack(catalog, 16, 3, cache, how) for how in ("squash", "pad", "crop")}
    for how, pack_NHWC in packs.items():
        for i in range(len(catalog)):
            assert np.array_equal(pack_NHWC[i], fit(catalog.image(i), 16, 3, how))
    place = catalog.place()[:16]
    names = [f"{place}-16x3{how}.u8" for how in ("", "-crop", "-pad")]
    assert sorted(path.name for path in cache.glob("*.u8")) == sorted(names)
    kept = json.loads((cache / f"{place}-16x3.json").read_text())
    assert set(kept) == {"version", "shape", "sources", "checksums"}  # as packs were before
    assert json.loads((cache / f"{place}-16x3-pad.json").read_text())["fit"] == "pad"


def test_a_pack_of_height_and_width(tmp_path, photos):
    catalog = load_catalog(section(photos, "folders"))
    pack_NHWC = load_pack(catalog, (24, 16), 1, tmp_path / "cache", "crop")
    assert pack_NHWC.shape == (8, 24, 16, 1)
    for i in range(len(catalog)):
        assert np.array_equal(pack_NHWC[i], fit(catalog.image(i), (24, 16), 1, "crop"))
    (path,) = (tmp_path / "cache").glob("*.u8")
    assert path.name == f"{catalog.place()[:16]}-24x16x1-crop.u8"


def test_one_number_may_be_written_twice():
    assert section(".", image_size=[64, 64]) == section(".", image_size=64)
    assert section(".", image_size=[64, 32]).image_size == (64, 32)
    for wrong in ([64], [64, 4], [64, 32, 3], "big", 64.5):
        with pytest.raises(ValueError, match="image_size"):
            section(".", image_size=wrong)


def test_inspect_measures_against_height_and_width(photos):
    report, _, _ = inspect(section(photos, "folders", image_size=[48, 32], fit="pad"), 1)
    lost = (7 * 0 + 1 - 1 / 1.5**2) / 8  # the one that lies, in a frame that stands
    assert report["fit"]["lost"] == pytest.approx(lost)
    (photos / "b" / "7.png").unlink()
    report, _, _ = inspect(section(photos, "folders", image_size=[48, 32]), 1)
    assert "fit          7 high; squash: nothing is lost" in table(report)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("squash", "squash: one side is stretched 1.50 times in the median, 1.50 at most"),
        ("pad", "pad: 33 % of the pixels are black"),
        ("crop", "crop: 33 % of the pixels are cut off"),
    ],
)
def test_inspect_says_what_the_fit_loses(photos, how, said):
    report, _, _ = inspect(section(photos, "folders", fit=how), 1)
    assert report["fit"]["high"] == 7 and report["fit"]["wide"] == 1
    assert f"fit          7 high, 1 wide; {said}" in table(report)
