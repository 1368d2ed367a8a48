"""Randomness as a function of where a stage stands, so that no generator's state is carried."""

import zlib

import numpy as np
import torch


def stage_seed(seed: int, stage: str) -> int:
    """A seed of the stage's own, so that two stages do not see the same order and masks."""
    return int(np.random.SeedSequence([seed, zlib.crc32(stage.encode())]).generate_state(1)[0])


def seed_update(*numbers: int) -> torch.Generator:
    """Seeds torch's own generators (stochastic depth, dropout) and returns one for mixing."""
    state = np.random.SeedSequence(numbers).generate_state(2)
    torch.manual_seed(int(state[0]))
    return torch.Generator().manual_seed(int(state[1]))
