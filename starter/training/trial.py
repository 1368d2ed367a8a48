"""What a stage measures before it begins: updates that leave no trace, and choices made once.

The updates run on the unwrapped network and exchange nothing with other processes. A choice is
saved and read back, so that a resume repeats it; it does not count in the stage's hash.
"""

import contextlib
import copy
from collections.abc import Callable, Generator, Iterator
from typing import Literal, TypeVar

import torch

from starter import distributed
from starter.data.batches import Batch, TrainBatches
from starter.runs.folder import StageFolder
from starter.runs.records import Choices
from starter.training.state import TrainState

Update = Callable[[TrainState, Batch, int], dict[str, torch.Tensor]]  # the page's


@contextlib.contextmanager
def no_trace(state: TrainState) -> Iterator[None]:
    """Puts weights, averages, optimizer, schedule, scaler and generators back, bit for bit.

    The same tensors are trained on, so a compiled network stays compiled and a GPU holds no
    second copy: what was there waits in the computer's memory.
    """
    modules = [state.learner, state.average.module] if state.average else [state.learner]
    kept = [_copied(module.state_dict()) for module in modules]
    optimizer = copy.deepcopy(state.optimizer.state_dict())
    schedule = copy.deepcopy(state.schedule.state_dict())
    scaler = copy.deepcopy(state.scaler.state_dict())
    modes = [(part, part.training) for module in modules for part in module.modules()]
    devices = [state.device] if state.device.type == "cuda" else []
    try:
        with torch.random.fork_rng(devices), distributed.alone():
            yield
    finally:
        state.optimizer.zero_grad(set_to_none=True)
        for module, before in zip(modules, kept, strict=True):
            module.load_state_dict(before)
        state.optimizer.load_state_dict(optimizer)
        state.schedule.load_state_dict(schedule)
        state.scaler.load_state_dict(scaler)
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


def trial_step(
    state: TrainState, batch: Batch, update: Update, step: int = 0
) -> dict[str, torch.Tensor]:
    """One update as the stage makes it, with nothing frozen; its losses, on the device.

    SyncBatchNorm would exchange statistics; held still it takes as long and as much memory.
    """
    section = state.section
    still = section.freeze.batchnorm or section.sync_batchnorm
    state.learner.set_training(backbone_frozen=False, batchnorm_frozen=still)
    return update(state, batch, step)


T = TypeVar("T", str, int)
Name = Literal["precision", "micro_batch", "epochs"]


def once(stage_folder: StageFolder, name: Name, measure: Callable[[], T]) -> T:
    """The stage's choice of this name: the saved one, else what `measure` gives, saved.

    Of several processes all call it, with a measure that gives them the same, or the first alone.
    """
    value = getattr(chosen(stage_folder), name)
    if value is None:
        value = measure()
        if distributed.is_main():
            chosen(stage_folder).model_copy(update={name: value}).write(stage_folder.choices)
    return value


def chosen(stage_folder: StageFolder) -> Choices:
    """Every choice made so far."""
    return Choices.find(stage_folder.choices) or Choices()
