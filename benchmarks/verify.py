"""Pairs scored and measured a second, against the ways people do it today.

    python -m benchmarks.verify [--images 60000] [--pairs 1000000] [--json]

Embeddings are random; every way scores the same pairs and is checked against ours.
"""

import argparse
import sys
from collections.abc import Callable

import numpy as np
import torch

from benchmarks.timing import add_arguments, interleaved, machine, show
from starter.metrics import cosine, evaluate

EPS = 1e-8
LOOP, SCIKIT = "a loop over pairs (course)", "scikit-learn and scipy (course)"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.verify",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--pairs", type=int, default=1_000_000, help="to score")
    parser.add_argument("--labelled", type=int, default=6_000, help="to measure")
    add_arguments(parser)
    return parser.parse_args(arguments)


def scoring(options: argparse.Namespace) -> dict[str, Callable[[], int]]:
    """name -> a function that scores some of the pairs and says how many."""
    rng = np.random.default_rng(0)
    emb_ND = rng.standard_normal((options.images, options.embedding), dtype=np.float32)
    a_P, b_P = rng.integers(options.images, size=(2, options.pairs))
    few = options.pairs // 50  # for the slow loop: its rate does not depend on how many

    def ours() -> int:
        cosine(emb_ND, a_P, b_P)
        return options.pairs

    emb = torch.from_numpy(emb_ND)

    def course() -> int:
        """A loop over pairs, as the course's starter notebook scores them."""
        similarity = torch.nn.CosineSimilarity(dim=0, eps=EPS)
        scores = [
            similarity(emb[a], emb[b]).item() for a, b in zip(a_P[:few], b_P[:few], strict=True)
        ]
        assert np.allclose(scores, cosine(emb_ND, a_P[:few], b_P[:few]), atol=1e-5)
        return few

    def batched() -> int:
        """torch's cosine_similarity over batches of 1,024 pairs, each row normalised anew."""
        index_a, index_b = torch.from_numpy(a_P), torch.from_numpy(b_P)
        for start in range(0, options.pairs, 1024):
            part = slice(start, start + 1024)
            torch.nn.functional.cosine_similarity(emb[index_a[part]], emb[index_b[part]])
        return options.pairs

    def metric_learning() -> int:
        """pytorch-metric-learning's distance of the rows of two batches of 1,024."""
        from pytorch_metric_learning.distances import CosineSimilarity

        distance = CosineSimilarity()
        for start in range(0, options.pairs, 1024):
            part = slice(start, start + 1024)
            distance.pairwise_distance(emb[a_P[part]], emb[b_P[part]])
        return options.pairs

    return {
        "starter": ours,
        LOOP: course,
        "torch, batches of 1,024": batched,
        "pytorch-metric-learning": metric_learning,
    }


def measuring(options: argparse.Namespace) -> dict[str, Callable[[], int]]:
    """name -> a function that gives EER and AUC of the labelled pairs once."""
    rng = np.random.default_rng(1)
    same_P = np.arange(options.labelled) % 2 == 0
    score_P = (same_P + rng.normal(0, 0.8, options.labelled)).astype(np.float32)

    def ours() -> int:
        evaluate(score_P, same_P)
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

    def resamples() -> int:
        evaluate(score_P, same_P, resamples=1000)
        return 1

    return {"starter": ours, SCIKIT: course, "starter, 1,000 resamples": resamples}


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
