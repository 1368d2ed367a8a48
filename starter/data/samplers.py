"""In which order training images come: every epoch's batches, a function of (seed, epoch).

Shapes: M training images, B of a batch, S batches of an epoch; P identities with K images each;
C identities (classes) in all; V visits, each of one identity, K images; D draws of an epoch.
"""

import numpy as np

from starter.errors import UserError
from starter.recipe.schema.data import BalancedSampler, PKSampler, Sampler


def batches_per_epoch(images: int, batch_size: int) -> int:
    """The last, partial batch is dropped, unless it is the only one."""
    return max(images // batch_size, 1)


def epoch_order(
    sampler: Sampler,
    label_N: np.ndarray,
    index_M: np.ndarray,
    batch_size: int,
    seed: int,
    epoch: int,
) -> np.ndarray:
    """Which images each batch of an epoch holds: index_SB int64, a function of (seed, epoch).

    label_N: int64 label of every image there is; index_M: those to train on. With shuffle every
    image comes at most once. With pk each batch is K images of each of B // K identities, one
    identity after the other. With balanced images are drawn with replacement. Raises UserError
    for fewer identities than a batch of pk needs, or fewer draws than balanced's least add up to.
    """
    rng = np.random.default_rng([seed, epoch])
    if isinstance(sampler, PKSampler):
        return _pk(label_N, index_M, batch_size, sampler.images, seed, epoch, rng)
    count = batches_per_epoch(len(index_M), batch_size)
    size = min(batch_size, len(index_M))
    if isinstance(sampler, BalancedSampler):
        return _balanced(label_N, index_M, count * size, sampler, rng).reshape(count, size)
    return rng.permutation(index_M)[: count * size].reshape(count, size)


def _balanced(label_N, index_M, draws: int, sampler: BalancedSampler, rng) -> np.ndarray:
    """index_D int64: images drawn with replacement, those of one class alike.

    `least` draws of every class are certain; chance shares out the rest so that the mean counts
    are those of `expected_draws`.
    """
    size_C = np.unique(label_N[index_M], return_counts=True)[1]
    if sampler.least * len(size_C) > draws:
        raise UserError(
            f"sampler balanced: {sampler.least} draws of each of {len(size_C)} classes are more "
            f"than the {draws} of an epoch; set sampler.least={draws // len(size_C)} or less"
        )
    by_chance = draws - sampler.least * len(size_C)
    drawn_C = np.full(len(size_C), sampler.least)
    if by_chance:
        beyond_C = expected_draws(size_C, draws, sampler) - sampler.least
        drawn_C += rng.multinomial(by_chance, beyond_C / beyond_C.sum())
    class_D = np.repeat(np.arange(len(size_C)), drawn_C)
    grouped_M = index_M[np.argsort(label_N[index_M], kind="stable")]
    first_C = np.cumsum(size_C) - size_C
    return rng.permutation(grouped_M[first_C[class_D] + rng.integers(size_C[class_D])])


def expected_draws(size_C: np.ndarray, draws: int, sampler: BalancedSampler) -> np.ndarray:
    """How often each class is drawn in the mean: mean_C float64, of sum `draws`.

    size_C: images of each class. Proportional to n^(1 - power), but where that is below `least`,
    exactly `least`, taken from the others in proportion. least * C < draws.
    """
    weight_C = size_C ** (1.0 - sampler.power)
    low_C = np.zeros(len(size_C), bool)
    while True:
        rest = draws - sampler.least * low_C.sum()
        mean_C = np.where(low_C, sampler.least, rest * weight_C / weight_C[~low_C].sum())
        below_C = mean_C < sampler.least
        if not below_C.any():
            return mean_C
        low_C |= below_C


def _pk(label_N, index_M, batch_size, images, seed, epoch, rng) -> np.ndarray:
    """P identities x K images a batch.

    Identities come in rounds, each a shuffle of them all. An identity with n images has cycles of
    n // K visits (or one, of fewer than K images, repeated): within a cycle no image comes twice,
    each cycle has an order of its own, and cycles go on from epoch to epoch.
    """
    label_C, size_C = np.unique(label_N[index_M], return_counts=True)
    per_batch = batch_size // images
    identities = len(label_C)
    if identities < per_batch:
        raise UserError(
            f"sampler pk: a batch of {batch_size} holds {per_batch} identities of {images} images, "
            f"but there are only {identities} to train on; set train.batch_size="
            f"{identities * images} or less, or sampler.images={-(-batch_size // identities)} or "
            "more"
        )
    count = batches_per_epoch(len(index_M), batch_size)
    visits = count * per_batch
    identity_V = _identity_order(identities, per_batch, visits, rng)
    # The r-th visit of an identity in an epoch is its visit number epoch * rounds + r over all
    # epochs: needs no memory of earlier epochs. (Some rounds of the last epochs may be cut off.)
    rounds = -(-visits // identities)
    visit_V = epoch * rounds + np.arange(visits) // identities
    cycle_V, place_V = np.divmod(visit_V, np.maximum(size_C // images, 1)[identity_V])
    grouped_M = index_M[np.argsort(label_N[index_M], kind="stable")]
    start_V, sorted_ = _cycle_orders(grouped_M, size_C, identity_V, cycle_V, seed)
    within_VK = (place_V * images)[:, None] + np.arange(images)
    chosen_VK = sorted_[start_V[:, None] + within_VK % size_C[identity_V][:, None]]
    return chosen_VK.reshape(count, per_batch * images)


def _identity_order(identities: int, per_batch: int, visits: int, rng) -> np.ndarray:
    """Rounds of all identities, shuffled, with none twice in a batch: identity_V int64."""
    rounds: list[np.ndarray] = []
    done = 0
    while done < visits:
        round_C = rng.permutation(identities)
        begun = done % per_batch  # the batch that this round continues already has these
        if begun:
            taken_C = np.isin(round_C, rounds[-1][-begun:])
            first = np.flatnonzero(~taken_C)[: per_batch - begun]
            rest_C = np.ones(identities, bool)
            rest_C[first] = False
            round_C = np.concatenate([round_C[first], round_C[rest_C]])
        rounds.append(round_C)
        done += identities
    return np.concatenate(rounds)[:visits]


def _cycle_orders(grouped_M, size_C, identity_V, cycle_V, seed) -> tuple[np.ndarray, np.ndarray]:
    """For each visit where its cycle's order starts, and all these orders one after the other."""
    pair_V2 = np.stack([identity_V, cycle_V], 1)
    pair_U2, which_V = np.unique(pair_V2, axis=0, return_inverse=True)
    size_U = size_C[pair_U2[:, 0]]
    start_U = np.cumsum(size_U) - size_U
    owner = np.repeat(np.arange(len(pair_U2)), size_U)
    first_C = np.cumsum(size_C) - size_C
    place = first_C[pair_U2[owner, 0]] + np.arange(len(owner)) - start_U[owner]
    key = _mix_bits(_mix_bits(np.uint64(seed) ^ _mix_bits(pair_U2[owner, 1])) ^ _mix_bits(place))
    return start_U[which_V.reshape(-1)], grouped_M[place[np.lexsort((key, owner))]]


def _mix_bits(x) -> np.ndarray:
    """splitmix64's finaliser: random bits for a million (image, cycle) pairs without a generator
    for each identity, which would take 10 us apiece."""
    x = np.asarray(x).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
