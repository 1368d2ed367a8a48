"""Training steps that leave no trace: for measuring a stage before it begins."""

import contextlib
import copy
from collections.abc import Generator, Iterator

import torch

from starter.data.batches import Batch, TrainBatches
from starter.training.step import Setup, train_step


@contextlib.contextmanager
def no_trace(setup: Setup) -> Iterator[None]:
    """Puts weights, averages, optimizer, schedule, scaler and generators back, bit for bit.

    The same tensors are trained on, so a compiled network stays compiled and a GPU holds no
    second copy: what was there waits in the computer's memory.
    """
    modules = [setup.learner, setup.average.module] if setup.average else [setup.learner]
    kept = [_copied(module.state_dict()) for module in modules]
    optimizer = copy.deepcopy(setup.optimizer.state_dict())
    schedule = copy.deepcopy(setup.schedule.state_dict())
    scaler = copy.deepcopy(setup.scaler.state_dict())
    modes = [(part, part.training) for module in modules for part in module.modules()]
    devices = [setup.device] if setup.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        setup.optimizer.zero_grad(set_to_none=True)
        for module, state in zip(modules, kept, strict=True):
            module.load_state_dict(state)
        setup.optimizer.load_state_dict(optimizer)
        setup.schedule.load_state_dict(schedule)
        setup.scaler.load_state_dict(scaler)
        for part, mode in modes:
            part.training = mode


def _copied(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value.detach().to("cpu", copy=True) for name, value in state.items()}


def endless(batches: TrainBatches) -> Generator[Batch, None, None]:
    """Batches of the first epoch, the second, and so on. Close it to stop the preparation."""
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1


def trial_step(setup: Setup, batch: Batch, step: int) -> dict[str, torch.Tensor]:
    """One update as the stage makes it, with nothing frozen; its losses, on the device."""
    setup.learner.set_training(
        backbone_frozen=False, batchnorm_frozen=setup.section.freeze.batchnorm
    )
    return train_step(setup, batch.image_BHWC, batch.label_B, step)
