"""The gate's words and intervals, class means."""

import numpy as np
import pytest

from starter.inference.embed import class_means, few_per_class, unit
from starter.inference.evaluate import Evaluation
from starter.stages.gate import judge, paired_interval


def evaluation(correct_M, score_P, same_P):
    from starter.metrics import evaluate

    found = evaluate(score_P, same_P)
    accuracy = float(correct_M.mean())
    metrics = {
        "accuracy": accuracy,
        "eer": found["eer"],
        "auc": found["auc"],
        "combined": 0.5 * accuracy + 0.5 * (1 - found["eer"]),
    }
    return Evaluation(metrics, correct_M, None, score_P, {})


def test_gate_takes_the_better_one_and_tells_the_interval():
    rng = np.random.default_rng(0)
    same_P = rng.random(400) < 0.5
    noise_P = rng.normal(size=400)
    poor = evaluation(rng.random(300) < 0.5, (same_P + 2.0 * noise_P).astype(np.float32), same_P)
    good = evaluation(rng.random(300) < 0.9, (same_P + 0.5 * noise_P).astype(np.float32), same_P)
    verdict = judge(good, poor, same_P, "combined")
    assert verdict.better and "better than" in verdict.text and "EER -" in verdict.text
    verdict = judge(poor, good, same_P, "combined")
    assert not verdict.better and "worse than" in verdict.text and "[" in verdict.text
    assert not judge(good, good, same_P, "combined").better


def test_paired_interval_equals_the_normal_one_for_many_images():
    rng = np.random.default_rng(1)
    old_M = rng.random(4000) < 0.7
    new_M = np.where(rng.random(4000) < 0.1, ~old_M, old_M)
    difference_M = new_M.astype(float) - old_M
    error = difference_M.std() / np.sqrt(4000)
    low, high = paired_interval(new_M, old_M, seed=0)
    assert low == pytest.approx(difference_M.mean() - 1.96 * error, abs=0.2 * error)
    assert high == pytest.approx(difference_M.mean() + 1.96 * error, abs=0.2 * error)


def test_class_means_equal_a_loop():
    rng = np.random.default_rng(2)
    emb_MD, label_M = rng.normal(size=(50, 4)).astype(np.float32), rng.integers(0, 5, 50)
    mean_KD = class_means(emb_MD, label_M, 6)
    for k in range(5):
        np.testing.assert_allclose(mean_KD[k], emb_MD[label_M == k].mean(0), rtol=1e-5)
    assert (mean_KD[5] == 0).all() and np.isfinite(unit(mean_KD)).all()


def test_few_per_class_takes_the_first_of_each():
    label_M = np.array([2, 0, 2, 1, 2, 0, 0, 0])
    index_M = np.arange(100, 108)
    assert few_per_class(index_M, label_M, 2).tolist() == [100, 101, 102, 103, 105]
