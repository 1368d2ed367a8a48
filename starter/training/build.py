"""What a stage needs, built from its recipe: the learner, the batches, the optimizer."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from starter import distributed, models
from starter.data import Catalog
from starter.data.augment import DeviceAugment, DeviceSource, choose
from starter.data.augment.pipeline import Augment, build_augment
from starter.data.augment.source import free_memory
from starter.data.batches import TrainBatches, resolve_workers
from starter.errors import UserError
from starter.inference.embed import EmbedOptions
from starter.losses.objective import build_objective
from starter.recipe.schema import Recipe, StageSection
from starter.runs.folder import StageFolder
from starter.training import checkpoint, initialise, optimizers, precision, schedules
from starter.training.checkpoint import Checkpoint
from starter.training.choices import once
from starter.training.ema import AveragedWeights
from starter.training.learner import Learner
from starter.training.step import Setup, stage_seed

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StageJob:
    """What a stage is given.

    `stop` is asked after every update and gives a reason or None; `after_row` is called when a row
    of metrics is written, `after_epoch` when an epoch's checkpoint is.
    """

    name: str
    folder: StageFolder
    recipe: Recipe
    catalog: Catalog
    cache: Path
    parent: Checkpoint | None
    device: torch.device
    stop: Callable[[], str | None] = lambda: None
    after_row: Callable[[], None] = lambda: None
    after_epoch: Callable[[], None] = lambda: None

    @property
    def section(self) -> StageSection:
        """The stage's own settings, `train:` merged in."""
        return self.recipe.stages[self.name]

    @property
    def image_size(self) -> int:
        """Pixels a side in this stage."""
        return self.section.image_size or self.recipe.data.image_size


def build_learner(
    recipe: Recipe,
    stage: str,
    classes: int,
    image_size: int,
    class_count_K: torch.Tensor | None = None,
) -> Learner:
    """A new learner for the stage, its first weights drawn from (seed, stage).

    class_count_K: training images per class; may be left out unless it is to be trained.
    """
    torch.manual_seed(stage_seed(recipe.seed, stage))
    data, model = recipe.data, recipe.model
    contract = models.Preprocessing(
        image_size=image_size,
        channels=data.channels,
        mean=_per_channel(data.mean, data.channels),
        std=_per_channel(data.std, data.channels),
        colour="RGB" if data.channels == 3 else "grey",
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
    if not recipe.stages[stage].channels_last:
        embedder.set_memory_format(torch.contiguous_format)
    if recipe.stages[stage].grad_checkpointing:
        embedder.recompute_stages()
    if model.pretrained:
        warn_of_other_statistics(embedder)
    terms = recipe.stages[stage].loss
    assert terms is not None
    objective = build_objective(
        terms, embedding=model.embedding, classes=classes, class_count_K=class_count_K
    )
    return Learner(embedder, objective)


def warn_of_other_statistics(embedder: models.Embedder) -> None:
    """Pretrained weights expect the statistics that they were trained with."""
    own, theirs = embedder.preprocessing, models.pretrained_preprocessing(embedder)
    if not np.allclose([own.mean, own.std], [theirs.mean, theirs.std], atol=1e-3):
        log.warning(
            "the pretrained weights expect data.mean=%s data.std=%s, not %s and %s",
            list(theirs.mean),
            list(theirs.std),
            list(own.mean),
            list(own.std),
        )


def _per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    if len(values) not in (1, channels):
        raise UserError(f"data.mean and data.std: give 1 or {channels} values, not {len(values)}")
    return values if len(values) == channels else values * channels


def build_batches(job: StageJob, image_NHWC: np.ndarray) -> TrainBatches:
    section, data = job.section, job.recipe.data
    index_M, cuda = job.catalog.index("train"), job.device.type == "cuda"
    augment, there = _build_augment(job)
    source = None
    if there is not None or (cuda and augment is None):
        source = DeviceSource(image_NHWC, index_M, there, job.device, free_memory(job.device))
    return TrainBatches(
        image_NHWC,
        job.catalog.label_N,
        index_M,
        batch_size=section.batch_size,
        sampler=section.sampler,
        augment=augment,
        seed=stage_seed(job.recipe.seed, job.name),
        workers=_own_workers(
            resolve_workers(
                data.workers, augmented=augment is not None, device_type=job.device.type
            )
        ),
        pin_memory=cuda,
        on_device=source,
        part=(distributed.rank(), distributed.world_size()),
    )


def _own_workers(workers: int) -> int:
    """This process's share of the machine's."""
    return -(-workers // distributed.local_world_size())


def _build_augment(job: StageJob) -> tuple[Augment | None, DeviceAugment | None]:
    """How images vary: on the CPU, on the device, or (both None) not at all.

    `auto` is settled once per stage: the two differ by roundings, and a resume repeats.
    """
    section, channels = job.section, job.recipe.data.channels
    steps = job.recipe.augment if section.augment is None else section.augment
    kind = job.device.type

    def build(where: str) -> DeviceAugment | None:
        return choose(where, steps, job.image_size, channels, kind)

    wanted: str = section.augment_on
    if wanted == "auto" and steps:
        wanted = distributed.main_does(
            lambda: once(job.folder, "augment_on", lambda: "device" if build("auto") else "cpu")
        )
    found = build(wanted)
    return (None if found else build_augment(steps, job.image_size, channels)), found


def build_setup(job: StageJob, image_NHWC: np.ndarray, batches: TrainBatches) -> Setup:
    section = job.section
    classes = len(job.catalog.classes)
    train_label_M = job.catalog.label_N[job.catalog.index("train")]
    counts_K = np.bincount(train_label_M[train_label_M >= 0], minlength=classes)
    learner = build_learner(
        job.recipe, job.name, classes, job.image_size, torch.from_numpy(counts_K)
    )
    log.info(
        "%s",
        models.check_rules(
            learner.embedder, list(learner.objective.terms.values()), job.recipe.rules
        ),
    )
    resuming = checkpoint.find(job.folder, "last") is not None
    new = (
        initialise.start_from(learner, job.parent, job.catalog.classes)
        if (job.parent and not resuming)
        else []
    )
    learner.to(job.device)
    chosen = _choose_precision(job, learner, image_NHWC)
    if job.parent:
        initialise.initialise_heads(
            learner.objective,
            new,
            learner.embedder,
            job.catalog,
            image_NHWC,
            embed_options(job, chosen),
        )
    distributed.share_weights(learner)
    if section.sync_batchnorm:
        if distributed.world_size() > 1 and job.device.type == "cpu":
            raise UserError(
                f"stages.{job.name}.sync_batchnorm: torch's SyncBatchNorm needs GPUs; set "
                "train.sync_batchnorm=false, or run on one process"
            )
        if distributed.world_size() > 1:
            torch.nn.SyncBatchNorm.convert_sync_batchnorm(learner.embedder)
    steps = (section.epochs or 1) * batches.batches_per_epoch  # or minutes: not known yet
    optimizer = optimizers.build_optimizer(learner, section.optimizer, job.device)
    schedule = schedules.build_schedule(
        section.schedule, optimizer, section.optimizer.lr, batches.batches_per_epoch, steps
    )
    return Setup(
        learner=learner,
        forward=torch.compile(learner.embedder) if section.compile else learner.embedder,
        optimizer=optimizer,
        schedule=schedule,
        scaler=chosen.scaler(),
        average=AveragedWeights(learner, section.ema) if section.ema else None,
        precision=chosen,
        device=job.device,
        section=section,
        seed=stage_seed(job.recipe.seed, job.name),
        steps=steps,
    )


def _choose_precision(job: StageJob, learner: Learner, image_NHWC) -> precision.Precision:
    """The stage's number format: measured once, then read back, so that a resume repeats it."""

    def measured() -> str:
        few_M = job.catalog.index("train")[: min(job.section.batch_size, 64)]
        images = torch.from_numpy(np.ascontiguousarray(image_NHWC[few_M])).to(job.device)
        learner.embedder.eval()  # measured without touching BatchNorm statistics
        return precision.choose(
            job.section.precision, job.device, learner.embedder, learner.embedder.prepare(images)
        )

    name = distributed.main_does(lambda: once(job.folder, "precision", measured))
    return precision.Precision(name, job.device.type)


def embed_options(job: StageJob, trained_in: precision.Precision) -> EmbedOptions:
    """How a stage embeds images to be evaluated."""
    wide = precision.inference_precision(trained_in.name, job.device.type)
    return EmbedOptions(job.recipe.verify.batch_size, job.device, wide, together=True)
