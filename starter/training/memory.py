"""What a stage needs of the memory: measured, made to fit, and told when it does not."""

import contextlib
import dataclasses
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import closing

import torch

from starter import distributed
from starter.data.batches import Batch, TrainBatches
from starter.errors import UserError
from starter.losses import needs_whole_batch
from starter.recipe.schema import StageSection
from starter.training.state import StageJob, TrainState
from starter.training.trial import Update, endless, no_trace, once, trial_step

log = logging.getLogger(__name__)

ROOM = 0.9  # of the free memory: the rest is for evaluation and what fragments
GB = 1 << 30


def with_micro_batch(
    job: StageJob, state: TrainState, batches: TrainBatches, update: Update
) -> None:
    """Settles `micro_batch: auto` in state.section: measured once and saved with the choices."""
    if state.section.micro_batch == "auto":
        micro = once(job.folder, "micro_batch", lambda: _chosen(job, state, batches, update))
        state.section = state.section.model_copy(update={"micro_batch": micro})


def choose_micro_batch(
    batch_size: int, needs: Callable[[int], int | None], room: int
) -> int | None:
    """The largest divisor of batch_size, 2 or more, whose update needs at most `room` bytes.

    needs: bytes at the peak of an update in parts of this many images; None where it ran out.
    None where nothing fits. Tried from the whole batch down: what does not fit fails at once.
    """
    for parts in range(1, batch_size // 2 + 1):
        if batch_size % parts == 0:
            found = needs(batch_size // parts)
            if found is not None and found <= room:
                return batch_size // parts
    return None


def _chosen(job: StageJob, state: TrainState, batches: TrainBatches, update: Update) -> int:
    size, name = state.section.batch_size // distributed.world_size(), job.name
    if job.device.type != "cuda":
        log.info("%s: micro_batch: auto is the whole batch of %d on a CPU", name, size)
        return size
    if needs_whole_batch(state.section.loss or ()):
        log.info("%s: micro_batch: auto is the whole batch of %d, which the loss needs", name, size)
        return size
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(job.device)
    room = int(ROOM * (free + torch.cuda.memory_reserved(job.device)))
    with no_trace(state), closing(endless(batches)) as stream:
        batch = next(stream)
        micro = choose_micro_batch(size, lambda micro: _peak(state, batch, micro, update), room)
    torch.cuda.empty_cache()
    micro = distributed.least(micro)
    if micro is None:
        raise UserError(shortage(name, state.section, "the GPU, 2 images at a time"))
    log.info("%s: micro_batch: auto -> %d of %d images at once", name, micro, size)
    return micro


def _peak(state: TrainState, batch: Batch, micro: int, update: Update) -> int | None:
    """Bytes that torch holds at the peak of a whole update, optimizer and all."""
    section = state.section.model_copy(update={"micro_batch": micro})
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(state.device)
    try:
        trial_step(dataclasses.replace(state, section=section), batch, update)
        return torch.cuda.max_memory_reserved(state.device)
    except torch.OutOfMemoryError:
        state.optimizer.zero_grad(set_to_none=True)
        return None


def start_peak(device: torch.device) -> None:
    """Begins a new peak, where the device counts one."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: torch.device) -> float | None:
    """The most memory held: on a GPU by tensors since start_peak(), else by this process since it
    began (resident, workers apart; None on Windows, where Python does not know)."""
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated(device) / GB, 2)
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / GB, 2)


def is_shortage(error: BaseException) -> bool:
    """Whether memory ran out, as CUDA, torch on a CPU, numpy and Python each say it."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text
        or "CUDA out of memory" in text
        or "CUDNN_STATUS_ALLOC_FAILED" in text
        or "CUBLAS_STATUS_ALLOC_FAILED" in text
    )


def shortage(stage: str, section: StageSection, where: str) -> str:
    """That memory ran out, and each key that would help."""
    keys = []
    if not needs_whole_batch(section.loss or ()):
        now = section.micro_batch or section.batch_size
        keys.append(f"micro_batch (now {now}{'' if now == 'auto' else '; auto finds what fits'})")
    keys.append(f"batch_size (now {section.batch_size})")
    keys.append("image_size")
    first = "" if section.grad_checkpointing else "set grad_checkpointing: true, or "
    return f"stages.{stage}: out of memory on {where}; {first}lower {', '.join(keys)}"


@contextlib.contextmanager
def shortage_told(job: StageJob) -> Iterator[None]:
    """Turns an error of running out of memory into a UserError that names the keys to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
        where = "the GPU" if job.device.type == "cuda" else "the computer"
        raise UserError(shortage(job.name, job.section, where)) from None
