"""`train:` and `stages:` how an embedder is trained, one stage after another."""

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from starter.errors import UserError
from starter.recipe.schema.base import Count, Misfit, Named, Positive, Section, SizeKey
from starter.recipe.schema.data import AugmentStep, MixSection, Sampler, ShuffleSampler


class LossTerm(Named):
    """One term of the sum: a loss of the kit, or path/to/loss.py:Class. Its other keys are the
    class's options."""

    weight: Annotated[Positive, Field(description="of this term in the sum")] = 1.0


class LearningRateScale(Section):
    """Factors on the learning rate of each part."""

    backbone: Annotated[float, Field(ge=0, description="of the backbone")] = 1.0
    neck: Annotated[float, Field(ge=0, description="of the neck")] = 1.0
    head: Annotated[float, Field(ge=0, description="of the loss terms' own parameters")] = 1.0


class OptimizerSection(Named):
    """How weights are updated: `kind` names a class, the other keys are its arguments."""

    kind: Annotated[
        str,
        Field(
            min_length=1,
            description="sgd, adamw, one of torch.optim (RMSprop), timm/NAME (timm/muon) or "
            "path/opt.py:Class; the other keys are its arguments",
        ),
    ] = "sgd"
    lr_scale: Annotated[LearningRateScale, Field(description="factors on lr, of each part")] = (
        LearningRateScale()
    )

    @property
    def lr(self) -> float:
        """The highest learning rate. Only a resolved section has one for sure."""
        return self.options["lr"]


class ScheduleSection(Named):
    """The learning rate's shape after a linear warm-up: `kind` names it."""

    kind: Annotated[
        str,
        Field(
            min_length=1,
            description="CosineAnnealingLR, constant, one of torch.optim.lr_scheduler (OneCycleLR) "
            "or path/sched.py:Class",
        ),
    ] = "CosineAnnealingLR"
    warmup_epochs: Annotated[float, Field(ge=0, description="linear, from a low rate")] = 0.0


class FreezeSection(Section):
    """What stays as it was at the start of a stage."""

    backbone: Annotated[float, Field(ge=0, description="epochs the backbone is frozen")] = 0.0
    batchnorm: Annotated[bool, Field(description="keep BatchNorm statistics all stage")] = False


class TrainSection(Section):
    """Defaults for every stage; a stage may override any of them."""

    epochs: Annotated[
        Count | None, Field(description="length of the stage; left out where minutes gives it")
    ] = 10
    minutes: Annotated[
        Positive | None,
        Field(
            description="in place of epochs: as many whole epochs as fit, evaluation and all, by "
            "a rate measured first"
        ),
    ] = None
    batch_size: Annotated[int, Field(ge=2, description="images an update, over all processes")] = (
        128
    )
    micro_batch: Annotated[
        Annotated[int, Field(ge=2)] | Literal["auto"] | None,
        Field(
            description="images on the device at once; gradients accumulate; auto: the most that "
            "a GPU's memory holds"
        ),
    ] = None  # BatchNorm needs two
    loss: Annotated[
        Annotated[tuple[LossTerm, ...], Field(strict=False, min_length=1)] | None,
        Field(description="weighted terms; every stage needs one, here or its own"),
    ] = None
    mix: Annotated[MixSection, Field(description="mixing of images in a batch")] = MixSection()
    sampler: Annotated[Sampler, Field(description="which images make a batch")] = ShuffleSampler()
    optimizer: Annotated[OptimizerSection, Field(description="how weights are updated")] = (
        OptimizerSection()
    )
    schedule: Annotated[ScheduleSection, Field(description="of the learning rate")] = (
        ScheduleSection()
    )
    ema: Annotated[float | None, Field(gt=0, lt=1, description="decay of the averaged weights")] = (
        None
    )
    clip_grad: Annotated[
        Positive | None, Field(description="largest gradient norm, backbone and heads together")
    ] = None
    agc: Annotated[
        Positive | None,
        Field(
            description="adaptive clipping: largest gradient of a filter as a share of its weights "
            "(embedder only); NFNets need it, 0.01"
        ),
    ] = None
    freeze: Annotated[FreezeSection, Field(description="what stays as it was at the start")] = (
        FreezeSection()
    )
    augment: Annotated[
        Annotated[tuple[AugmentStep, ...], Field(strict=False)] | None,
        Field(description="in place of the recipe's augment"),
    ] = None
    image_size: Annotated[SizeKey | None, Field(description="in place of data.image_size")] = None
    precision: Annotated[
        Literal["auto", "bf16", "fp16", "fp32"],
        Field(description="of the backbone; auto: bf16 where the hardware has it"),
    ] = "auto"
    channels_last: Annotated[bool, Field(description="memory format of the backbone")] = True
    grad_checkpointing: Annotated[
        bool, Field(description="recompute each stage in backward: less memory, one more forward")
    ] = False
    compile: Annotated[bool, Field(description="torch.compile the embedder")] = False
    sync_batchnorm: Annotated[
        bool, Field(description="BatchNorm counts the images of all processes (GPUs only)")
    ] = False
    monitor: Annotated[
        str,
        Field(
            min_length=1,
            description="what best means: combined, accuracy, eer, auc, macro_f1, log_loss, "
            "map_at_5, a scorer of scikit-learn, path/metric.py:f",
        ),
    ] = "combined"
    evaluate_every: Annotated[Count, Field(description="epochs between evaluations")] = 1
    patience: Annotated[
        Count | None,
        Field(description="the stage ends after N evaluations without a better monitor"),
    ] = None
    gate: Annotated[
        bool, Field(description="a stage worse than its parent does not become the run's best")
    ] = True
    checkpoint_steps: Annotated[
        Count | None, Field(description="checkpoint every N updates, besides every epoch")
    ] = None
    max_hours: Annotated[
        Positive | None,
        Field(description="since the command began: then checkpoint and exit with code 3"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, value: Any) -> Any:
        """`minutes` stands in place of the default epochs."""
        if isinstance(value, dict) and value.get("minutes") is not None and "epochs" not in value:
            return {**value, "epochs": None}
        return value


class StageSection(TrainSection):
    """One stage: `train:` with this stage's own keys over it."""

    init: Annotated[
        str | None,
        Field(description="an earlier stage's name, or the path of another run's stage"),
    ] = None

    @model_validator(mode="after")
    def _fits_together(self) -> "StageSection":
        mistakes = list(_misfits(self))
        if mistakes:
            raise Misfit(mistakes)
        return self


def _misfits(stage: StageSection) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, message) of keys that do not go together."""
    if not stage.loss:
        yield (), "a stage needs a loss: list, for example [{kind: softmax}]"
    size, sampler, micro = stage.batch_size, stage.sampler, stage.micro_batch
    if sampler.kind == "pk" and size % sampler.images:
        yield ("batch_size",), f"{size} is not a multiple of sampler.images {sampler.images}"
    if isinstance(micro, int) and size % micro:
        yield ("batch_size",), f"{size} is not a multiple of micro_batch {micro}"
    if stage.epochs and stage.minutes:
        message = (
            f"{stage.epochs} besides minutes: {stage.minutes:g}, which measures how many epochs "
            "fit; leave epochs out, or minutes to have this number"
        )
        yield ("epochs",), message
    if not stage.epochs and not stage.minutes:
        yield ("epochs",), "a stage needs a length: epochs or minutes"
    if stage.grad_checkpointing and stage.compile:
        message = "compile decides by itself what to keep for backward; leave one of the two out"
        yield ("grad_checkpointing",), message


def refuse_uneven(stage: str, section: StageSection, processes: int) -> None:
    """UserError for a batch that `processes` cannot share equally: a mean of unequal slices'
    losses would not be the batch's."""
    if processes == 1:
        return
    size, micro, sampler = section.batch_size, section.micro_batch, section.sampler
    unit = sampler.images if sampler.kind == "pk" else 1
    place, whole = f"stages.{stage}.batch_size", processes * unit
    if size % whole:
        each = f" identities of {unit} images" if unit > 1 else ""
        raise UserError(
            f"{place}: {processes} processes cannot share {size} images equally{each and ' by'}"
            f"{each}; set batch_size={max(round(size / whole), 1) * whole}"
        )
    own = size // processes
    if own < 2:
        raise UserError(
            f"{place}: {size} leaves 1 image to each of {processes} processes, and BatchNorm "
            f"needs 2; set batch_size={2 * processes} or more"
        )
    if isinstance(micro, int) and own > micro and own % micro:
        raise UserError(
            f"{place}: the {own} images of each of {processes} processes are not a multiple of "
            f"micro_batch {micro}; set micro_batch={math.gcd(own, micro)} or leave it out"
        )
