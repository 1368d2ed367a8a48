"""1:N identification, retrieval and k folds against brute force in plain Python."""

import math
import tracemalloc

import numpy as np
import pytest

from starter.metrics import (
    cmc,
    cross_validate,
    decide,
    fit_known,
    fit_threshold,
    identify,
    retrieve,
)
from starter.metrics.folds import shuffled_folds
from starter.metrics.identify import Match


def case(seed, people=7, each=3, probes=40, strangers=0.3):
    """Embeddings on a coarse grid, so that scores tie; people numbered with gaps."""
    rng = np.random.default_rng(seed)
    identity_G = rng.permutation(np.repeat(np.arange(people) * 2, each))
    emb_GD = rng.integers(-1, 2, (len(identity_G), 4)).astype(np.float32)
    answer_Q = np.where(rng.random(probes) < strangers, -1, rng.integers(people, size=probes) * 2)
    return emb_GD, identity_G, rng.integers(-1, 2, (probes, 4)).astype(np.float32), answer_Q


def similarity(a, b):
    norms = math.sqrt(float(a @ a)) * math.sqrt(float(b @ b))
    return 0.0 if norms == 0 else round(float(a @ b) / norms, 5)


@pytest.mark.parametrize("block", [1, 7, 1024])
@pytest.mark.parametrize("seed", range(6))
def test_matches_and_cmc_equal_brute_force(seed, block):
    emb_GD, identity_G, emb_QD, answer_Q = case(seed)
    match = identify(emb_GD, identity_G, emb_QD, block)
    ranks = []
    for q, probe in enumerate(emb_QD):
        scores = [similarity(probe, other) for other in emb_GD]
        assert match.score_Q[q] == pytest.approx(max(scores), abs=1e-5)
        best = {identity_G[g] for g, s in enumerate(scores) if s == max(scores)}
        assert match.identity_Q[q] in best
        if answer_Q[q] >= 0:
            person = {
                k: max(s for s, i in zip(scores, identity_G, strict=True) if i == k)
                for k in set(identity_G)
            }
            ranks.append(sum(s >= person[answer_Q[q]] for s in person.values()))
    # float32 parts what is equal on paper, so the grid is compared where nothing is a hair apart
    clean = case(seed)[0] + np.random.default_rng(seed).normal(0, 0.1, emb_GD.shape)
    found = cmc(clean, identity_G, emb_QD + 0.05, answer_Q, (1, 2, 5, 7, 8), block)
    exact = []
    for q in np.flatnonzero(answer_Q >= 0):
        scores = np.array([similarity(emb_QD[q] + 0.05, other) for other in clean])
        person = {k: scores[identity_G == k].max() for k in set(identity_G)}
        exact.append(sum(s >= person[answer_Q[q]] for s in person.values()))
    assert found == {k: pytest.approx(np.mean(np.array(exact) <= k)) for k in (1, 2, 5, 7)}


def test_a_network_that_maps_all_to_one_point_identifies_nobody():
    ones = np.ones((12, 4), np.float32)
    assert cmc(ones, np.arange(12), ones, np.arange(12), (1, 5)) == {1: 0.0, 5: 0.0}
    assert cmc(ones, np.arange(12), ones, np.full(12, -1)) == {}


@pytest.mark.parametrize("seed", range(8))
def test_the_threshold_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    answer_Q = rng.integers(-1, 4, 30)
    match = Match(rng.integers(0, 4, 30), rng.integers(0, 12, 30).astype(np.float32) / 10)
    fitted = fit_threshold(match, answer_Q)

    def accuracy(threshold):
        right = 0
        for identity, score, answer in zip(match.identity_Q, match.score_Q, answer_Q, strict=True):
            right += (identity if score >= threshold else -1) == answer
        return right / 30

    every = [-9.0, *(score + 0.05 for score in np.unique(match.score_Q)), 9.0]
    assert fitted.accuracy == pytest.approx(max(map(accuracy, every)))
    assert accuracy(fitted.value) == pytest.approx(fitted.accuracy)
    assert np.mean(decide(match, fitted.value) == answer_Q) == pytest.approx(fitted.accuracy)


def test_where_everybody_is_known_nobody_is_refused():
    match = Match(np.array([0, 1, 1]), np.array([-0.9, 0.2, 0.9], np.float32))
    assert fit_threshold(match, np.array([0, 1, 0])) == (-np.inf, pytest.approx(2 / 3))


def test_memory_is_bounded_by_the_block():
    rng = np.random.default_rng(0)
    emb_GD, emb_QD = (rng.normal(size=(n, 8)).astype(np.float32) for n in (4000, 3000))
    tracemalloc.start()
    identify(emb_GD, np.arange(4000), emb_QD, block=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 2**20 < 4000 * 3000 * 4  # the whole matrix takes 48 MB


@pytest.mark.parametrize("block", [5, 1024])
@pytest.mark.parametrize("seed", range(4))
def test_retrieval_equals_its_definition(seed, block):
    rng = np.random.default_rng(seed)
    identity_N = rng.integers(0, 9, 37)
    identity_N[0] = 99  # alone in its class: no query
    emb_ND = rng.normal(size=(37, 5))
    found = retrieve(emb_ND, identity_N, (1, 3), block)
    recall, average = {1: [], 3: []}, []
    for q in range(37):
        others = [i for i in range(37) if i != q]
        others.sort(key=lambda i: -similarity(emb_ND[q], emb_ND[i]))
        relevant = [identity_N[i] == identity_N[q] for i in others]
        if not any(relevant):
            continue
        total = sum(relevant)
        for k in recall:
            recall[k].append(any(relevant[:k]))
        average.append(
            sum(relevant[i] * sum(relevant[: i + 1]) / (i + 1) for i in range(total)) / total
        )
    assert found["queries"] == len(average)
    assert found["recall_at"] == {k: pytest.approx(np.mean(recall[k])) for k in recall}
    assert found["map_at_r"] == pytest.approx(np.mean(average))


def test_retrieval_without_company():
    assert retrieve(np.eye(4), np.arange(4)) == {}
    perfect = retrieve(np.repeat(np.eye(3), 2, axis=0), np.repeat(np.arange(3), 2))
    assert perfect["recall_at"] == {1: 1.0, 2: 1.0, 4: 1.0} and perfect["map_at_r"] == 1.0


@pytest.mark.parametrize("own", [True, False])
def test_folds_equal_the_protocol(own):
    rng = np.random.default_rng(1)
    same_P = np.tile(np.repeat([True, False], 30), 10)
    score_P = (rng.normal(size=600) + same_P).astype(np.float32)
    fold_P = np.repeat(np.arange(10), 60) if own else shuffled_folds(same_P, 10, 5)
    found = cross_validate(score_P, same_P, fold_P if own else None, seed=5)
    accuracies = []
    for fold in range(10):
        rest = [p for p in range(600) if fold_P[p] != fold]
        inside = [p for p in range(600) if fold_P[p] == fold]
        levels = np.unique(score_P[rest])
        tried = [
            (np.mean((score_P[rest] >= t) == same_P[rest]), -t)
            for t in [-9, *((levels[:-1] + levels[1:]) / 2), 9]
        ]
        threshold = -max(tried)[1]
        accuracies.append(np.mean([(score_P[p] >= threshold) == same_P[p] for p in inside]))
    mean = sum(accuracies) / 10
    error = math.sqrt(sum((a - mean) ** 2 for a in accuracies) / 9) / math.sqrt(10)
    assert found["accuracy"] == pytest.approx(mean) and found["folds"] == 10
    assert found["standard_error"] == pytest.approx(error) and found["shuffled"] is not own


def test_shuffled_folds_are_balanced_and_follow_the_seed():
    same_P = np.arange(203) < 70
    fold_P = shuffled_folds(same_P, 10, 0)
    assert np.bincount(fold_P[same_P]).tolist() == [7] * 10
    assert set(np.bincount(fold_P[~same_P])) == {13, 14}
    assert np.array_equal(fold_P, shuffled_folds(same_P, 10, 0))
    assert not np.array_equal(fold_P, shuffled_folds(same_P, 10, 1))
    assert cross_validate(np.zeros(12), np.arange(12) < 6) == {}


def test_an_image_never_finds_itself():
    angle_N = np.deg2rad([0, 180, 100, 260])  # the other of the class is the farthest of all
    emb_ND = np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1)
    found = retrieve(emb_ND, np.array([0, 0, 1, 1]), (1, 2))
    assert found["recall_at"] == {1: 0.0, 2: 0.0} and found["map_at_r"] == 0.0


def test_the_threshold_of_known_and_unknown_by_a_loop():
    rng = np.random.default_rng(0)
    known, unknown = rng.random(9).round(1), (rng.random(40) * 0.8).round(1)

    def balanced(threshold):
        return ((known >= threshold).mean() + (unknown < threshold).mean()) / 2

    best = max(balanced(t) for t in np.arange(-0.05, 1.1, 0.1))
    fitted = fit_known(known, unknown)
    assert fitted.accuracy == pytest.approx(best) == pytest.approx(balanced(fitted.value))
    assert best > 0.5 and fit_known(unknown, known + 1) == (0.0, 0.5)
