"""Per-image augmentation: seeded, independent, strict. Per-batch mixing: against its definition."""

import pickle

import numpy as np
import pytest
import torch

from starter.data.augment.mix import mix_batch
from starter.data.augment.pipeline import Augment, build_augment
from starter.errors import UserError
from starter.recipe.schema.data import AugmentStep


def steps(*described: dict) -> list[AugmentStep]:
    return [AugmentStep.model_validate(d) for d in described]


def step(kind: str, **arguments) -> dict:
    return {"kind": kind, **arguments}


def image(size: int = 24, channels: int = 3, seed: int = 0) -> np.ndarray:
    shape = (size, size, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


FACE = (
    step("HorizontalFlip", p=0.5),
    step("Affine", rotate=[-10, 10], translate_percent=[-0.05, 0.05], p=0.5),
    step("ColorJitter", p=0.5),
    step("CoarseDropout", p=0.25),
)
# A wide choice: both generators, numpy streams of their own (dropout, noise), opencv's generator.
NAMES = (
    "AdditiveNoise CLAHE CoarseDropout ColorJitter Defocus Downscale ElasticTransform "
    "Emboss Equalize GaussNoise GaussianBlur GlassBlur GridDistortion GridDropout Illumination "
    "ImageCompression InvertImg MotionBlur MultiplicativeNoise OpticalDistortion Perspective "
    "PixelDropout PlasmaBrightnessContrast PlasmaShadow Posterize RandomBrightnessContrast "
    "RandomGamma RandomGridShuffle RandomRotate90 RandomShadow RandomToneCurve Rotate "
    "SafeRotate SaltAndPepper Sharpen ShotNoise Solarize SquareSymmetry ThinPlateSpline XYMasking "
    "MedianBlur"
)
WIDE = NAMES.split()
ARGUMENTS = {"XYMasking": {"num_masks_x": 1, "mask_x_length": 4}}


def test_no_steps_is_none():
    assert build_augment([], 24) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_wide_choice_repeats_for_the_same_seed(channels):
    described = steps(*(step(k, p=0.3, **ARGUMENTS.get(k, {})) for k in WIDE))
    first = build_augment(described, 24, channels)
    second = build_augment(described, 24, channels)
    original = image(channels=channels)
    second(original.copy(), (9, 9, 9))  # a different history
    different = 0
    for position in range(15):
        a = first(original.copy(), (1, 2, position))
        b = second(original.copy(), (1, 2, position))
        np.testing.assert_array_equal(a, b)
        different += not np.array_equal(a, original)
    assert different >= 14


@pytest.mark.parametrize("kind", WIDE)
def test_every_transform_alone_repeats_for_the_same_seed(kind):
    described = steps(step(kind, p=0.9, **ARGUMENTS.get(kind, {})))
    first, second = build_augment(described, 24), build_augment(described, 24)
    for position in (3, 1, 2):
        first(image(), (5, 0, position))
    a = first(image(), (5, 0, 7))
    np.testing.assert_array_equal(a, second(image(), (5, 0, 7)))


def test_seed_epoch_and_position_each_matter():
    augment = build_augment(steps(step("GaussNoise", p=1)), 24)
    seeds = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1), (2**63, 0, 0)]
    made = {augment(image(), seed).tobytes() for seed in seeds}
    assert len(made) == len(seeds)


def fired(augment, count: int) -> np.ndarray:
    """Which of the horizontal and vertical flip happened, (count, 2) bool."""
    original = image()
    marks = [original, original[:, ::-1], original[::-1], original[::-1, ::-1]]
    found = []
    for position in range(count):
        out = augment(original.copy(), (7, 3, position))
        (which,) = [i for i, mark in enumerate(marks) if np.array_equal(out, mark)]
        found.append((which % 2, which // 2))
    return np.array(found, bool)


@pytest.mark.parametrize(
    "described",
    [
        [step("HorizontalFlip", p=0.5), step("VerticalFlip", p=0.5)],
        [
            step("Sequential", p=1, transforms=[step("HorizontalFlip")]),
            step("Sequential", p=1, transforms=[step("VerticalFlip")]),
        ],
        [step("OneOf", p=0.5, transforms=[step("HorizontalFlip")]), step("VerticalFlip")],
        [
            step("OneOf", p=0.5, transforms=[step("HorizontalFlip")]),
            step("OneOf", p=0.5, transforms=[step("VerticalFlip")]),
        ],
    ],
    ids=["plain", "nested", "mixed", "albumentations"],
)
def test_two_flips_fire_independently(described):
    count = 2000
    found = fired(build_augment(steps(*described), 24), count)
    horizontal, vertical = found.T
    # 5 sigma of a binomial; with albumentations' own seeding both would always be equal
    for event, expected in (
        (horizontal, 0.5),
        (vertical, 0.5),
        (horizontal & vertical, 0.25),
        (horizontal ^ vertical, 0.5),
    ):
        assert abs(event.mean() - expected) < 5 * np.sqrt(0.25 / count)
    assert abs(np.corrcoef(found.T)[0, 1]) < 5 / np.sqrt(count)
    # and from one image to the next
    assert abs(np.corrcoef(found[1:, 0], found[:-1, 0])[0, 1]) < 5 / np.sqrt(count)


def test_every_transform_shares_the_generators_that_are_reseeded():
    inner = step("Sequential", transforms=[step("HorizontalFlip"), step("GaussNoise")])
    augment = build_augment(
        steps(step("OneOf", transforms=[inner, step("Affine")]), step("CoarseDropout")), 24
    )
    generators, todo = set(), list(augment.transforms)
    count = 0
    while todo:
        transform = todo.pop()
        generators.add((id(transform.random_generator), id(transform.py_random)))
        todo += getattr(transform, "transforms", [])
        count += 1
    assert count == 6 and len(generators) == 1


@pytest.mark.parametrize("own", [True, False])
def test_pickled_pipeline_gives_the_same_images(own):
    augment = Augment(steps(*FACE), 24, own=own)
    copy = pickle.loads(pickle.dumps(augment))
    for position in range(20):
        seed = (1, 0, position)
        np.testing.assert_array_equal(augment(image(), seed), copy(image(), seed))


def test_one_image_is_left_as_it_was():
    augment, given = build_augment(steps(step("CoarseDropout", p=1)), 24), image()
    assert (augment(given, (0, 0, 0)) != image()).any()
    np.testing.assert_array_equal(given, image())


def test_lists_become_ranges():
    augment = build_augment(steps(step("Affine", scale={"x": [0.9, 1.1], "y": [1, 1]}, p=1)), 24)
    assert augment.transforms[0].scale["x"] == (0.9, 1.1)


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (step("HorizontalFlop"), ["augment.1 (HorizontalFlop)", "did you mean 'HorizontalFlip'"]),
        (step("Compose_"), ["has no transform 'Compose_'"]),
        (step("np"), ["has no transform 'np'"]),
        (step("Affine", rotat=[-5, 5]), ["augment.1 (Affine)", "did you mean 'rotate'"]),
        (step("HorizontalFlip", probability=0.5), ["no argument 'probability'", "it has p"]),
        (step("CoarseDropout", max_holes=3), ["no argument 'max_holes'", "num_holes_range"]),
        (step("Affine", rotate="much"), ["augment.1 (Affine)", "rotate", "'much'"]),
        (step("HorizontalFlip", p=1.5), ["augment.1 (HorizontalFlip)", "p:", "1.5"]),
        (step("RandomRotate90", p="x"), ["augment.1 (RandomRotate90)"]),
        (step("RandomResizedCrop"), ["augment.1 (RandomResizedCrop)", "size", "required"]),
        (step("RandomCrop", height=16, width=16), ["makes 16x16x3 of 24x24x3", "Sequential"]),
        (step("Normalize"), ["makes float32", "data.mean"]),
        (step("ToTensorV2"), ["augment.1 (ToTensorV2)"]),
        (step("HistogramMatching"), ["augment.1 (HistogramMatching)", "hm_metadata"]),
        (step("OneOf", transforms=[step("Blurr")]), ["augment.1 (OneOf).transforms.0 (Blurr)"]),
        (step("OneOf", transforms=["Blur"]), ["augment.1 (OneOf).transforms.0", "not a step"]),
        (step("OneOf", transforms=[step("Blur", limit=3)]), ["transforms.0 (Blur)", "'limit'"]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_mistakes_name_the_step_in_one_line(described, words):
    with pytest.raises(UserError) as raised:
        build_augment(steps(step("HorizontalFlip"), described), 24)
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_grey_images_are_refused_by_a_colour_transform_before_training():
    with pytest.raises(UserError, match=r"augment\.0 \(ISONoise\).*24x24x1"):
        build_augment(steps(step("ISONoise")), 24, channels=1)


def test_a_sequence_may_change_the_size_inside():
    inside = [
        step("PadIfNeeded", min_height=30, min_width=30, p=1),
        step("RandomCrop", height=24, width=24, p=1),
    ]
    augment = build_augment(steps(step("Sequential", p=1, transforms=inside)), 24)
    assert augment(image(), (0, 0, 0)).shape == (24, 24, 3)


# ---- mixing


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def constant_images(size: int, height: int = 16, width: int = 12) -> torch.Tensor:
    """Image i is i everywhere, so that a mixed pixel tells whose it is."""
    return torch.arange(size).float().view(-1, 1, 1, 1).expand(size, 3, height, width).clone()


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_mixup_is_the_weighted_sum(size):
    batch = torch.randn(size, 3, 8, 8)
    before = batch.clone()
    for seed in range(20):
        mixed, permutation, weight = mix_batch(
            batch, mixup=0.4, cutmix=0, generator=generator(seed)
        )
        share = weight.view(-1, 1, 1, 1)
        torch.testing.assert_close(mixed, share * batch + (1 - share) * batch[permutation])
        assert sorted(permutation.tolist()) == list(range(size))
        assert permutation.dtype == torch.int64 and weight.dtype == torch.float32
        assert 0 <= weight[0] <= 1 and (weight == weight[0]).all()
    assert torch.equal(batch, before)


@pytest.mark.parametrize("size", [2, 7])
def test_cutmix_weight_is_the_area_that_stayed(size):
    batch = constant_images(size)
    before = batch.clone()
    for seed in range(60):
        mixed, permutation, weight = mix_batch(
            batch, mixup=0, cutmix=1.0, generator=generator(seed)
        )
        for i in range(size):
            own, other = mixed[i] == i, mixed[i] == permutation[i]
            assert (own | other).all()
            if permutation[i] != i:
                assert own.float().mean().item() == pytest.approx(weight[i].item(), abs=1e-6)
                changed = other.all(0)  # one box, the same in every channel
                rows, columns = changed.any(1), changed.any(0)
                assert torch.equal(changed, rows[:, None] & columns[None])
    assert torch.equal(batch, before)


def test_cutmix_box_has_the_drawn_area_before_it_is_cut():
    """Mean area over all boxes equals brute force over lambdas and centres."""
    batch = constant_images(2, 32, 32)
    kept = [
        mix_batch(batch, mixup=0, cutmix=1.0, generator=generator(s))[2][0].item()
        for s in range(3000)
    ]
    rng, expected = np.random.default_rng(0), []
    for _ in range(3000):
        half = 0.5 * np.sqrt(1 - rng.beta(1, 1)) * 32
        spans = [min(c + half, 32) - max(c - half, 0) for c in rng.uniform(0, 32, 2)]
        expected.append(1 - spans[0] * spans[1] / 32**2)
    error = np.sqrt(np.var(kept) / 3000 + np.var(expected) / 3000)
    assert abs(np.mean(kept) - np.mean(expected)) < 4 * error + 0.005  # whole pixels


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_follow_the_beta_distribution(alpha):
    stats = pytest.importorskip("scipy.stats")
    batch = torch.zeros(2, 1, 1, 1)
    drawn = [
        mix_batch(batch, mixup=alpha, cutmix=0, generator=generator(s))[2][0].item()
        for s in range(3000)
    ]
    # float32 ends: beta(0.2, 0.2) rounds to exactly 0 or 1 now and then
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_a_very_small_alpha_gives_no_nan():
    for seed in range(50):
        weight = mix_batch(torch.ones(2, 1, 2, 2), mixup=1e-3, cutmix=0, generator=generator(seed))[
            2
        ]
        assert torch.isfinite(weight).all()


def test_both_are_taken_half_the_time_and_probability_holds():
    batch = constant_images(8)
    counts = {"none": 0, "mixup": 0, "cutmix": 0}
    for seed in range(1500):
        mixed, permutation, weight = mix_batch(
            batch, mixup=1.0, cutmix=1.0, probability=0.5, generator=generator(seed)
        )
        if (weight == 1).all() and torch.equal(permutation, torch.arange(8)):
            assert torch.equal(mixed, batch)
            counts["none"] += 1
        else:
            whole = (mixed == mixed.round()).all()
            counts["cutmix" if whole else "mixup"] += 1
    assert abs(counts["none"] / 1500 - 0.5) < 0.065
    assert abs(counts["mixup"] / 1500 - 0.25) < 0.06
    assert abs(counts["cutmix"] / 1500 - 0.25) < 0.06


def test_mixing_is_a_function_of_the_generator_and_keeps_the_memory_format():
    batch = torch.randn(5, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    for options in ({"mixup": 0.5, "cutmix": 0}, {"mixup": 0, "cutmix": 0.5}):
        torch.manual_seed(0)
        state = torch.get_rng_state()
        a = mix_batch(batch, generator=generator(4), **options)
        b = mix_batch(batch, generator=generator(4), **options)
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        assert a[0].is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(torch.get_rng_state(), state)


def test_off_leaves_everything():
    batch = torch.randn(3, 1, 2, 2)
    mixed, permutation, weight = mix_batch(batch, mixup=0, cutmix=0, generator=generator(0))
    assert torch.equal(mixed, batch)
    assert permutation.tolist() == [0, 1, 2] and weight.tolist() == [1, 1, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("options", [{"mixup": 0.5, "cutmix": 0}, {"mixup": 0, "cutmix": 0.5}])
def test_mixing_on_a_gpu_equals_the_cpu(options):
    batch = torch.randn(6, 3, 8, 8)
    here = mix_batch(batch, generator=generator(1), **options)
    there = mix_batch(batch.cuda(), generator=generator(1), **options)
    for a, b in zip(here, there, strict=True):
        assert b.is_cuda
        torch.testing.assert_close(a, b.cpu())
