"""The counter-based generator, and the distributions that the kit draws from by it:
albumentations', by what each did to 4,000 images.

Two-sample Kolmogorov-Smirnov for numbers, chi-squared for counts and orders, at fixed seeds: a
p-value below 1e-3 would be one chance in a thousand per comparison (there are about 50).
"""

import math

import numpy as np
import pytest
from scipy import stats

from starter.data.augment import Augment
from starter.data.augment.step import philox, uniforms
from tests.data.augment.agree import albumentations_alone, kit_step, picture, steps, written

COUNT, SIZE = 4000, 40
LEVEL = 1e-3
ONES = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("key", "counter", "answer"),  # of the authors' kat_vectors
    [
        ((0, 0), (0, 0, 0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ONES, ONES), (ONES,) * 4, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0xA4093822, 0x299F31D0),
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers(key, counter, answer):
    assert tuple(int(part) for part in philox(key, counter)) == answer


def test_an_image_s_numbers_do_not_depend_on_its_batch():
    whole_BD = uniforms(2**40 + 3, 5, np.arange(100), 11)
    parts = [uniforms(2**40 + 3, 5, np.arange(i, i + 20), 11) for i in range(0, 100, 20)]
    np.testing.assert_array_equal(whole_BD, np.concatenate(parts))
    np.testing.assert_array_equal(whole_BD[:, :7], uniforms(2**40 + 3, 5, np.arange(100), 7))
    others = [
        uniforms(3, 5, np.arange(100), 11),
        uniforms(2**40 + 3, 6, np.arange(100), 11),
        uniforms(2**40 + 3, 5, np.arange(100) + 1, 11),
    ]
    assert not any(np.array_equal(whole_BD, other) for other in others)


def test_numbers_are_uniform_and_independent():
    u_BD = uniforms(1, 0, np.arange(20_000), 9)
    assert u_BD.min() > 0 and u_BD.max() < 1
    counts = np.stack([np.histogram(column, 20, (0, 1))[0] for column in u_BD.T])
    chi2 = ((counts - 1000) ** 2 / 1000).sum(1)
    assert (chi2 < 45).all()  # 19 degrees of freedom: p = 0.0007 each
    assert np.abs(np.corrcoef(u_BD.T) - np.eye(9)).max() < 5 / np.sqrt(20_000)
    assert abs(np.corrcoef(u_BD[1:, 0], u_BD[:-1, 0])[0, 1]) < 5 / np.sqrt(20_000)


def both(described: dict, count: int = COUNT) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Parameters of albumentations' own objects, image by image; and the kit's."""
    described = described | {"p": 1}
    augment = albumentations_alone(described, size=SIZE)
    (transform,) = augment.transforms
    image, params = picture(SIZE), {"shape": (SIZE, SIZE, 3)}
    theirs = []
    for i in range(count):
        augment._reseed(11, 2, i)
        drawn = transform.get_params()
        theirs.append(drawn | transform.get_params_dependent_on_data(params, {"image": image}))
    step = kit_step(described, SIZE)
    return theirs, step.draw(uniforms(7, 3, np.arange(count), step.draws))


def same(a, b) -> None:
    assert stats.ks_2samp(np.asarray(a, float), np.asarray(b, float)).pvalue > LEVEL


def same_counts(a, b) -> None:
    values = sorted(set(np.unique(a)) | set(np.unique(b)))
    table = [[np.count_nonzero(np.asarray(x) == v) for v in values] for x in (a, b)]
    if len(values) > 1:
        assert stats.chi2_contingency(table).pvalue > LEVEL


@pytest.mark.parametrize(
    "described",
    [
        "{rotate: [-15, 15], scale: [0.85, 1.15], translate_percent: [-0.08, 0.08], "
        "shear: [-5, 5]}",
        "{rotate: 10, scale: {x: [0.5, 1], y: [1, 2]}, translate_px: {x: [-3, 9]}, "
        "shear: {y: [0, 20]}}",
        "{scale: [0.5, 1.5], keep_ratio: true, translate_percent: 0.2}",
    ],
    ids=["faces64", "axes apart", "keep_ratio"],
)
def test_affine(described):
    described = written(described)
    theirs, ours = both({"kind": "Affine"} | described)
    same([p["rotate"] for p in theirs], ours["rotate"])
    for axis in "xy":
        same([p["scale"][axis] for p in theirs], ours[f"scale_{axis}"])
    centre = np.array([SIZE / 2 - 0.5, SIZE / 2 - 0.5, 1])  # moves by the shift alone
    for i, axis in enumerate("xy"):
        shift_N = [round((p["matrix"] @ centre - centre)[i]) for p in theirs]
        same_counts(shift_N, ours[f"shift_{axis}"])
    if described.get("keep_ratio"):
        np.testing.assert_array_equal(ours["scale_x"], ours["scale_y"])
    inverse_B33 = kit_step({"kind": "Affine"} | described, SIZE).inverse(ours)
    theirs_B33 = np.stack([np.linalg.inv(p["matrix"]) for p in theirs])
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)):  # shear and shift too
        same(theirs_B33[:, row, column], inverse_B33[:, row, column])


def test_affine_numbers_are_independent():
    limits = "rotate: [-9, 9], scale: [0.5, 2], shear: [-9, 9], translate_px: [-9, 9]"
    _, ours = both(written(f"{{kind: Affine, {limits}}}"))
    numbers = np.stack(list(ours.values()))
    correlation = np.corrcoef(numbers) - np.eye(len(numbers))
    assert np.abs(correlation).max() < 5 / math.sqrt(COUNT)


def test_perspective():
    theirs, ours = both({"kind": "Perspective", "scale": [0.05, 0.1]})
    inverse_B33 = kit_step({"kind": "Perspective"}, SIZE).inverse(ours)
    theirs_B33 = np.stack(
        [
            np.linalg.inv(np.diag([SIZE / p["max_width"], SIZE / p["max_height"], 1]) @ p["matrix"])
            for p in theirs
        ]
    )
    theirs_B33 /= theirs_B33[:, 2:, 2:]
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)):
        same(theirs_B33[:, row, column], inverse_B33[:, row, column])


def test_colour_jitter():
    limits = {"brightness": [0.6, 1.4], "contrast": 0.3, "saturation": [0.5, 0.9], "hue": 0.1}
    theirs, ours = both({"kind": "ColorJitter"} | limits)
    for name in limits:
        same([p[name] for p in theirs], ours[name])
    powers = 4 ** np.arange(4)
    same_counts([np.dot(p["order"], powers) for p in theirs], ours["order"] @ powers)


def test_brightness_contrast():
    theirs, ours = both({"kind": "RandomBrightnessContrast", "brightness_limit": [-0.1, 0.4]})
    same([p["alpha"] for p in theirs], ours["alpha"])
    same([p["beta"] / 255 for p in theirs], ours["beta"])


@pytest.mark.parametrize("limit", [[0, 0], [3, 7], [0, 5]])
def test_gaussian_blur(limit):
    described = {"kind": "GaussianBlur", "blur_limit": limit, "sigma_limit": [0.5, 3]}
    theirs, ours = both(described)
    same_counts([len(p["kernel"]) // 2 for p in theirs], ours["radius"])
    kernel_BK = kit_step(described, SIZE).kernels(ours)
    same([p["kernel"].max() for p in theirs], kernel_BK.max(1))


@pytest.mark.parametrize(
    "described",
    [
        "{num_holes_range: [1, 1], hole_height_range: [0.15, 0.45], "
        "hole_width_range: [0.15, 0.45]}",
        "{num_holes_range: [1, 4], hole_height_range: [3, 9], hole_width_range: [1, 60]}",
    ],
    ids=["faces64", "pixels"],
)
def test_coarse_dropout(described):
    theirs, ours = both({"kind": "CoarseDropout", "fill": "random_uniform"} | written(described))
    same_counts([len(p["holes"]) for p in theirs], ours["count"])
    hole_N4 = np.concatenate([p["holes"] for p in theirs])
    exists = np.arange(ours["top"].shape[1]) < ours["count"][:, None]
    compare_holes(hole_N4, *(ours[key][exists] for key in ("left", "top", "width", "height")))
    colour_N = ours["colour"][exists].ravel()
    assert colour_N.min() == 0 and colour_N.max() == 255
    same(colour_N, np.random.default_rng(0).integers(0, 256, len(colour_N)))


def compare_holes(hole_N4, left, top, width, height) -> None:
    same_counts(hole_N4[:, 0], left)
    same_counts(hole_N4[:, 1], top)
    same_counts(hole_N4[:, 2] - hole_N4[:, 0], width)
    same_counts(hole_N4[:, 3] - hole_N4[:, 1], height)
    area = (hole_N4[:, 2] - hole_N4[:, 0]) * (hole_N4[:, 3] - hole_N4[:, 1])
    same(area, width * height)


@pytest.mark.parametrize("changes", [{}, {"scale": [0.1, 0.2], "ratio": [0.5, 1]}])
def test_erasing(changes):
    theirs, ours = both({"kind": "Erasing"} | changes)
    compare_holes(
        np.concatenate([p["holes"] for p in theirs]),
        *(ours[key][:, 0] for key in ("left", "top", "width", "height")),
    )


def test_erasing_nothing_where_no_rectangle_fits():
    theirs, ours = both({"kind": "Erasing", "scale": [0.9, 0.95], "ratio": [3, 3.3]}, 20)
    assert all(len(p["holes"]) == 0 for p in theirs) and not ours["height"].any()


def test_pad_and_crop():
    inside = [
        {"kind": "PadIfNeeded", "min_height": SIZE + 7, "min_width": SIZE + 4},
        {"kind": "RandomCrop", "height": SIZE, "width": SIZE},
    ]
    described = {"kind": "Sequential", "p": 1, "transforms": [i | {"p": 1} for i in inside]}
    augment = albumentations_alone(described, size=SIZE)
    pad, crop = augment.transforms[0].transforms
    image, shifts = picture(SIZE), []
    for i in range(1000):
        augment(image.copy(), (1, 0, i))
        x, y = crop.params["crop_coords"][:2]
        shifts.append((pad.params["pad_left"] - x, pad.params["pad_top"] - y))
    step = kit_step(described, SIZE)
    ours = step.draw(uniforms(7, 3, np.arange(COUNT), step.draws))
    same_counts([x for x, _ in shifts], ours["shift_x"])
    same_counts([y for _, y in shifts], ours["shift_y"])


def test_every_entry_fires_with_its_own_p_independently():
    inside = [{"kind": "ToGray", "p": 0.5}, {"kind": "ToGray", "p": 1}]
    entries = [
        {"kind": "HorizontalFlip", "p": 0.5},
        {"kind": "VerticalFlip", "p": 0.2},
        {"kind": "ToGray", "p": 0.15},
        {"kind": "Affine", "p": 1},
        {"kind": "Erasing", "p": 0},
        {"kind": "Sequential", "p": 0.5, "transforms": inside},
    ]
    augment = Augment(steps(*entries), SIZE)
    u_BD = uniforms(5, 0, np.arange(COUNT), augment.draws)
    fired = [entry.fires(u_BD) for entries in augment.entries for entry in entries]
    wanted = [0.5, 0.2, 0.15, 1, 0, 0.25, 0.5]
    for fired_B, p in zip(fired, wanted, strict=True):
        assert abs(fired_B.mean() - p) <= 4 * math.sqrt(p * (1 - p) / COUNT)
    assert not (fired[5] & ~fired[6]).any()  # one gate around both
    for other in (1, 2):
        assert abs(np.corrcoef(fired[0], fired[other])[0, 1]) < 4 / math.sqrt(COUNT)
