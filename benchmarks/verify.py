"""Pairs scored and measured a second, against the ways people do it today.

    python -m benchmarks.verify [--images 60000] [--pairs 1000000] [--json]

Embeddings are random; every way scores the same pairs and is checked against ours.
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from benchmarks.timing import interleaved, machine, parser, show
from starter.metrics import cosine, evaluate

EPS = 1e-8
LOOP, SCIKIT = "a loop over pairs (course)", "scikit-learn and scipy (course)"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    command = parser("verify", __doc__, rounds=5)
    command.add_argument("--images", type=int, default=60_000)
    command.add_argument("--embedding", type=int, default=512)
    command.add_argument("--pairs", type=int, default=1_000_000, help="to score")
    command.add_argument("--labelled", type=int, default=6_000, help="to measure")
    return command.parse_args(arguments)


def scoring(options: argparse.Namespace) -> dict[str, Callable[[], int]]:
    """name -> a function that scores some of the pairs and says how many."""
    from pytorch_metric_learning.distances import CosineSimilarity

    rng = np.random.default_rng(0)
    emb_ND = rng.standard_normal((options.images, options.embedding), dtype=np.float32)
    a_P, b_P = rng.integers(options.images, size=(2, options.pairs))
    few = options.pairs // 50  # for the slow loop: its rate does not depend on how many

    def ours() -> int:
        cosine(emb_ND, a_P, b_P)
        return options.pairs

    emb, index_a, index_b = (torch.from_numpy(array) for array in (emb_ND, a_P, b_P))

    def course() -> int:
        """A loop over pairs, as the course's starter notebook scores them."""
        similarity = torch.nn.CosineSimilarity(dim=0, eps=EPS)
        scores = [
            similarity(emb[a], emb[b]).item() for a, b in zip(a_P[:few], b_P[:few], strict=True)
        ]
        assert np.allclose(scores, cosine(emb_ND, a_P[:few], b_P[:few]), atol=1e-5)
        return few

    def batched(similarity: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], int]:
        """Rows of two batches of 1,024 compared, each normalised anew."""

        def work() -> int:
            for a_B, b_B in zip(index_a.split(1024), index_b.split(1024), strict=True):
                similarity(emb[a_B], emb[b_B])
            return options.pairs

        return work

    return {
        "starter": ours,
        LOOP: course,
        "torch, batches of 1,024": batched(torch.nn.functional.cosine_similarity),
        "pytorch-metric-learning": batched(CosineSimilarity().pairwise_distance),
    }


def measuring(options: argparse.Namespace) -> dict[str, Callable[[], int]]:
    """name -> a function that gives EER and AUC of the labelled pairs once."""
    rng = np.random.default_rng(1)
    same_P = np.arange(options.labelled) % 2 == 0
    score_P = (same_P + rng.normal(0, 0.8, options.labelled)).astype(np.float32)

    def ours(resamples: int = 0) -> int:
        evaluate(score_P, same_P, resamples=resamples)
        return 1

    def course() -> int:
        """scikit-learn's curve, then the root of the interpolated one, as the course has it."""
        from scipy.interpolate import interp1d
        from scipy.optimize import brentq
        from sklearn.metrics import roc_auc_score, roc_curve

        fpr, tpr, _ = roc_curve(same_P, score_P)
        eer = brentq(lambda x: 1.0 - x - interp1d(fpr, tpr)(x), 0.0, 1.0)
        assert abs(eer - evaluate(score_P, same_P)["eer"]) < 1e-9
        roc_auc_score(same_P, score_P)
        return 1

    return {"starter": ours, SCIKIT: course, "starter, 1,000 resamples": lambda: ours(1000)}


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    facts = machine() | {"images": options.images, "embedding": options.embedding}
    for title, work, unit, base in (
        (f"Scoring {options.pairs:,} pairs", scoring(options), "pairs/s", LOOP),
        (f"Measuring {options.labelled:,} pairs", measuring(options), "times/s", SCIKIT),
    ):
        rates = interleaved(work, options.rounds, dict.fromkeys(work, base))
        print(show(title, unit, rates, facts, options.json), end="\n" if options.json else "\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
