"""What a stage needs, built from its recipe: the learner, its number format, the batches, and the
wrapper for several processes (torch's DistributedDataParallel averages gradients in backward)."""

import contextlib
import inspect
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from starter import distributed, models
from starter.data.augment import build_augment
from starter.data.batches import TrainBatches, resolve_workers
from starter.errors import UserError
from starter.losses.objective import build_objective
from starter.recipe.schema import Recipe
from starter.recipe.schema.base import Size
from starter.training.learner import Learner
from starter.training.precision import Precision, choose
from starter.training.state import StageJob, TrainState, stage_seed
from starter.training.trial import no_trace, once

log = logging.getLogger(__name__)


def build_learner(
    recipe: Recipe,
    stage: str,
    classes: int,
    image_size: Size,
    class_count_K: torch.Tensor | None = None,
) -> Learner:
    """A new learner for the stage, its first weights drawn from (seed, stage).

    class_count_K: training images per class; may be left out unless it is to be trained.
    """
    torch.manual_seed(stage_seed(recipe.seed, stage))
    data, model, section = recipe.data, recipe.model, recipe.stages[stage]
    contract = models.Preprocessing(
        image_size=image_size,
        channels=data.channels,
        mean=data.mean if len(data.mean) == data.channels else data.mean * data.channels,
        std=data.std if len(data.std) == data.channels else data.std * data.channels,
        colour="RGB" if data.channels == 3 else "grey",
        fit=data.fit,
    )
    options = model.model_dump(exclude={"backbone", "embedding"})
    if model.stem == "auto" and model.backbone in models.backbone_names():
        # The run's stem, not the stage's: a stage of another size takes its parent's weights.
        options["stem"] = models.choose_stem(model.backbone, data.image_size)
    embedder = models.build(
        model.backbone,
        in_channels=data.channels,
        image_size=image_size,
        embedding=model.embedding,
        preprocessing=contract,
        **options,
    )
    if not section.channels_last:
        embedder.set_memory_format(torch.contiguous_format)
    if section.grad_checkpointing:
        embedder.recompute_stages()
    if model.pretrained:
        _warn_of_other_statistics(embedder)
    assert section.loss is not None
    objective = build_objective(
        section.loss, embedding=model.embedding, classes=classes, class_count_K=class_count_K
    )
    return Learner(embedder, objective)


def _warn_of_other_statistics(embedder: models.Embedder) -> None:
    """Pretrained weights expect the statistics that they were trained with."""
    ours, pretrained = embedder.preprocessing, models.pretrained_preprocessing(embedder)
    if not np.allclose([ours.mean, ours.std], [pretrained.mean, pretrained.std], atol=1e-3):
        log.warning(
            "the pretrained weights expect data.mean=%s data.std=%s, not %s and %s",
            *map(list, (pretrained.mean, pretrained.std, ours.mean, ours.std)),
        )


def settle_precision(job: StageJob, learner: Learner, image_NHWC: np.ndarray) -> Precision:
    """The stage's number format: measured once, then read back, so that a resume repeats it."""

    def measured() -> str:
        few_M = job.catalog.index("train")[: min(job.section.batch_size, 64)]
        images = torch.from_numpy(np.ascontiguousarray(image_NHWC[few_M])).to(job.device)
        learner.embedder.eval()  # measured without touching BatchNorm statistics
        image_BCHW = learner.embedder.prepare(images)
        return choose(job.section.precision, job.device, learner.embedder, image_BCHW)

    name = distributed.main_does(lambda: once(job.folder, "precision", measured))
    return Precision(name, job.device.type)


def build_batches(job: StageJob, image_NHWC: np.ndarray) -> TrainBatches:
    """The stage's training batches; of several processes, each takes its slice of every batch."""
    section, data, cuda = job.section, job.recipe.data, job.device.type == "cuda"
    steps = job.recipe.augment if section.augment is None else section.augment
    augment = build_augment(steps, job.image_size, data.channels)
    workers = resolve_workers(
        data.workers, augmented=augment is not None, device_type=job.device.type
    )
    return TrainBatches(
        image_NHWC,
        job.catalog.label_N,
        job.catalog.index("train"),
        batch_size=section.batch_size,
        sampler=section.sampler,
        augment=augment,
        seed=stage_seed(job.recipe.seed, job.name),
        workers=-(-workers // distributed.local_world_size()),  # this process's share
        pin_memory=cuda,
        part=(distributed.rank(), distributed.world_size()),
    )


def synchronise_batchnorm(module: torch.nn.Module, job: StageJob) -> None:
    """Has BatchNorm count the images of all processes. UserError on a CPU: torch's needs GPUs."""
    if distributed.world_size() == 1:
        return
    if job.device.type == "cpu":
        raise UserError(
            f"stages.{job.name}.sync_batchnorm: torch's SyncBatchNorm needs GPUs; set "
            "train.sync_batchnorm=false, or run on one process"
        )
    torch.nn.SyncBatchNorm.convert_sync_batchnorm(module)  # in place, as `module` itself is none


# BatchNorm's statistics are shared when they are needed, not at every update.
_parameters = inspect.signature(DistributedDataParallel).parameters
_name = "forward_sync_buffers"  # since torch 2.14
SYNC_BUFFERS = _name if _name in _parameters else "broadcast_buffers"


def parallel(
    model: nn.Module, state: TrainState, loss: Callable[[], torch.Tensor]
) -> DistributedDataParallel:
    """The module wrapped. What is trained is fixed by this: wrap anew where freezing ends.

    loss: of a few images by the unwrapped module; tried out to see whether it uses every trained
        parameter, whose gradients the wrapper would wait for.
    """
    with no_trace(state):
        loss().backward()
        unused = any(p.grad is None for p in model.parameters() if p.requires_grad)
    some = distributed.agreed("unused" if unused else None) is not None
    options: dict[str, Any] = {SYNC_BUFFERS: False}
    return DistributedDataParallel(model, find_unused_parameters=some, **options)


def no_exchange(model: nn.Module) -> contextlib.AbstractContextManager:
    """Gradients stay in this process until the next backward outside of it."""
    if isinstance(model, DistributedDataParallel):
        return model.no_sync()
    return contextlib.nullcontext()
