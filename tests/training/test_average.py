"""Averaged weights against a plain mean, and statistics against those of numpy."""

import numpy as np
import pytest
import torch

from starter.recipe import load
from starter.training.average import average, batch_norms, misfits, renew_statistics
from starter.training.build import build_learner
from starter.training.precision import Precision


@pytest.fixture
def learner(tiny_recipe):
    return build_learner(load(tiny_recipe), "classify", 5, 16)


def test_every_float_is_the_mean_and_whole_numbers_are_the_first(learner):
    other = learner.twin()
    with torch.no_grad():
        for tensor in other.state_dict().values():
            tensor.add_(3 if not tensor.is_floating_point() else 0.5)
    first, second = learner.state_dict(), other.state_dict()
    mixed = average([first, second, second])
    for name, tensor in mixed.items():
        if tensor.is_floating_point():
            by_hand = (first[name].double() + 2 * second[name].double()) / 3
            torch.testing.assert_close(tensor.double(), by_hand, atol=1e-6, rtol=0)
        else:
            assert torch.equal(tensor, first[name])
    assert mixed.keys() == first.keys()


def test_a_head_that_differs_is_the_first_ones_and_a_network_that_differs_is_told(learner):
    first = learner.state_dict()
    second = {n: t[:3] if n.startswith("objective.") else t for n, t in first.items()}
    assert misfits(first, second) == []
    head = next(n for n in first if n.startswith("objective."))
    assert torch.equal(average([first, second])[head], first[head])
    second.pop("embedder.neck." + next(iter(learner.embedder.neck.state_dict())))
    assert len(misfits(first, second)) == 1


def test_renewed_statistics_are_those_of_the_images(learner):
    rng = np.random.default_rng(0)
    batches = [
        torch.from_numpy(rng.integers(0, 256, (8, 16, 16, 3)).astype(np.uint8)) for _ in range(3)
    ]
    embedder = learner.embedder
    norm = batch_norms(embedder)[0]
    seen = []
    hook = norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].numpy()))
    renew_statistics(learner, batches, torch.device("cpu"), Precision("fp32", "cpu"))
    hook.remove()
    means = np.mean([x.mean((0, 2, 3)) for x in seen], axis=0)
    variances = np.mean([x.var((0, 2, 3), ddof=1) for x in seen], axis=0)
    np.testing.assert_allclose(norm.running_mean, means, atol=1e-5)
    np.testing.assert_allclose(norm.running_var, variances, rtol=1e-4)
    assert not any(m.training for m in embedder.modules()) and norm.momentum == 0.1
