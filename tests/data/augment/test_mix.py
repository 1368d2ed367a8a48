"""Mixed images, against the definitions of mixup and cutmix."""

import numpy as np
import pytest
import torch
from scipy import stats

from starter.data.augment.mix import mix_batch


def mix(batch: torch.Tensor, seed: int, mixup: float = 0, cutmix: float = 0, p: float = 1):
    generator = torch.Generator().manual_seed(seed)
    return mix_batch(batch, mixup=mixup, cutmix=cutmix, probability=p, generator=generator)


def constant_images(size: int, height: int = 16, width: int = 12) -> torch.Tensor:
    """Image i is i everywhere, so that a mixed pixel tells whose it is."""
    return torch.arange(size).float().view(-1, 1, 1, 1).expand(size, 3, height, width).clone()


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_mixup_is_the_weighted_sum(size):
    batch = torch.randn(size, 3, 8, 8)
    before = batch.clone()
    for seed in range(20):
        mixed, permutation, weight = mix(batch, seed, mixup=0.4)
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
        mixed, permutation, weight = mix(batch, seed, cutmix=1.0)
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
    kept = [mix(batch, seed, cutmix=1.0)[2][0].item() for seed in range(3000)]
    rng, expected = np.random.default_rng(0), []
    for _ in range(3000):
        half = 0.5 * np.sqrt(1 - rng.beta(1, 1)) * 32
        spans = [min(c + half, 32) - max(c - half, 0) for c in rng.uniform(0, 32, 2)]
        expected.append(1 - spans[0] * spans[1] / 32**2)
    error = np.sqrt(np.var(kept) / 3000 + np.var(expected) / 3000)
    assert abs(np.mean(kept) - np.mean(expected)) < 4 * error + 0.005  # whole pixels


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_weights_follow_the_beta_distribution(alpha):
    batch = torch.zeros(2, 1, 1, 1)
    drawn = [mix(batch, seed, mixup=alpha)[2][0].item() for seed in range(3000)]
    # float32 ends: beta(0.2, 0.2) rounds to exactly 0 or 1 now and then
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 1e-3


def test_a_very_small_alpha_gives_no_nan():
    for seed in range(50):
        assert torch.isfinite(mix(torch.ones(2, 1, 2, 2), seed, mixup=1e-3)[2]).all()


def test_both_are_taken_half_the_time_and_probability_holds():
    batch = constant_images(8)
    counts = {"none": 0, "mixup": 0, "cutmix": 0}
    for seed in range(1500):
        mixed, permutation, weight = mix(batch, seed, mixup=1.0, cutmix=1.0, p=0.5)
        if (weight == 1).all() and torch.equal(permutation, torch.arange(8)):
            assert torch.equal(mixed, batch)
            counts["none"] += 1
        else:
            whole = (mixed == mixed.round()).all()
            counts["cutmix" if whole else "mixup"] += 1
    assert abs(counts["none"] / 1500 - 0.5) < 0.065
    assert all(abs(counts[kind] / 1500 - 0.25) < 0.06 for kind in ("mixup", "cutmix"))


def test_mixing_is_a_function_of_the_generator_and_keeps_the_memory_format():
    batch = torch.randn(5, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    for options in ({"mixup": 0.5}, {"cutmix": 0.5}):
        torch.manual_seed(0)
        state = torch.get_rng_state()
        a, b = (mix(batch, 4, **options) for _ in range(2))
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
        assert a[0].is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(torch.get_rng_state(), state)


def test_off_leaves_everything():
    batch = torch.randn(3, 1, 2, 2)
    mixed, permutation, weight = mix(batch, 0)
    assert torch.equal(mixed, batch)
    assert permutation.tolist() == [0, 1, 2] and weight.tolist() == [1, 1, 1]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("options", [{"mixup": 0.5}, {"cutmix": 0.5}])
def test_mixing_on_a_gpu_equals_the_cpu(options):
    batch = torch.randn(6, 3, 8, 8)
    here, there = mix(batch, 1, **options), mix(batch.cuda(), 1, **options)
    for a, b in zip(here, there, strict=True):
        assert b.is_cuda
        torch.testing.assert_close(a, b.cpu())
