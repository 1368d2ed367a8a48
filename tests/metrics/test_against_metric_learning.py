"""recall@k and mAP@R against pytorch-metric-learning's AccuracyCalculator, searching exactly."""

import numpy as np
import pytest
import torch

from starter.metrics import retrieve

calculators = pytest.importorskip("pytorch_metric_learning.utils.accuracy_calculator")
inference = pytest.importorskip("pytorch_metric_learning.utils.inference")
distances = pytest.importorskip("pytorch_metric_learning.distances")


class Calculator(calculators.AccuracyCalculator):
    """With recall@k as retrieval papers mean it: one of the class among the k nearest."""

    def calculate_recall_at_2(self, knn_labels, query_labels, not_lone_query_mask, **_):
        hit = (knn_labels[:, :2] == query_labels[:, None]).any(1)
        return hit[not_lone_query_mask].double().mean().item()

    def calculate_recall_at_5(self, knn_labels, query_labels, not_lone_query_mask, **_):
        hit = (knn_labels[:, :5] == query_labels[:, None]).any(1)
        return hit[not_lone_query_mask].double().mean().item()

    def requires_knn(self):
        return [*super().requires_knn(), "recall_at_2", "recall_at_5"]


@pytest.mark.parametrize("alone", [0, 3])
@pytest.mark.parametrize("seed", range(3))
def test_retrieval_equals_their_calculator(seed, alone):
    """Classes of 2 to 30 images, and some images alone in theirs, which are no queries."""
    rng = np.random.default_rng(seed)
    size_K = rng.integers(2, 30, 12)
    identity_N = rng.permutation(np.r_[np.repeat(np.arange(12), size_K), 100 + np.arange(alone)])
    centre = rng.normal(size=(200, 16))
    emb_ND = (centre[identity_N] + 2 * rng.normal(size=(len(identity_N), 16))).astype(np.float32)
    metrics = ("precision_at_1", "recall_at_2", "recall_at_5", "mean_average_precision_at_r")
    search = inference.CustomKNN(distances.CosineSimilarity())
    calculator = Calculator(
        include=metrics,
        k=int(size_K.max()),
        device=torch.device("cpu"),
        knn_func=search,
        kmeans_func=lambda *_: None,
    )
    wanted = calculator.get_accuracy(torch.from_numpy(emb_ND), torch.from_numpy(identity_N))
    found = retrieve(emb_ND, identity_N, (1, 2, 5), block=50)
    assert found["queries"] == size_K.sum()
    assert found["map_at_r"] == pytest.approx(wanted["mean_average_precision_at_r"], abs=1e-9)
    assert found["recall_at"] == {
        1: pytest.approx(wanted["precision_at_1"]),
        2: pytest.approx(wanted["recall_at_2"]),
        5: pytest.approx(wanted["recall_at_5"]),
    }
    assert 0.1 < found["map_at_r"] < 0.9  # neither trivial nor lost
