"""Every key of a recipe: its type, default, range and meaning in one line. Here is the whole recipe
(one YAML file is one experiment, all its stages included), with `model:` and `rules:`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from starter.recipe.schema.base import Misfit, Rate, Section
from starter.recipe.schema.data import (
    AugmentStep,
    BalancedSampler,
    DataSection,
    DemoSection,
    MixSection,
    PairsSection,
    PKSampler,
    ShuffleSampler,
    SplitsSection,
)
from starter.recipe.schema.train import LossTerm, StageSection, TrainSection
from starter.recipe.schema.verify import SubmissionSection, VerifySection

BACKBONE = "resnet18, ... (`python -m starter.models` lists them), timm/NAME or your net.py:Class"


class ModelSection(Section):
    """The embedder: a backbone and a neck."""

    backbone: Annotated[str, Field(min_length=1, description=BACKBONE)] = "resnet18"
    embedding: Annotated[int, Field(ge=2, le=8192, description="D, the embedding's size")] = 512
    stem: Annotated[
        Literal["auto", "7x7/2", "3x3/2", "3x3/1", "4x4/4", "2x2/2"],
        Field(description="first layer; auto takes it from the family and the image size"),
    ] = "auto"
    pool: Annotated[
        Literal["auto", "avg", "gem", "flatten", "depthwise"],
        Field(
            description="of the last map: average, generalised mean, every place, a weight per "
            "place; auto: as published"
        ),
    ] = "auto"
    neck: Annotated[
        Literal["identity", "linear", "bn"],
        Field(
            description="after pooling: nothing, Linear + BatchNorm, or BatchNorm alone; "
            "identity and bn need embedding = the backbone's width"
        ),
    ] = "linear"
    drop_path: Annotated[Rate, Field(description="stochastic depth at the last block")] = 0.0
    drop_block: Annotated[
        Rate, Field(description="share of the maps dropped in squares, in the last two stages")
    ] = 0.0
    layer_scale: Annotated[
        float | None,
        Field(ge=0, description="first value of a factor per channel on each branch; 0 for none"),
    ] = None
    zero_init_last: Annotated[
        bool | None, Field(description="blocks start as the identity; null: as published")
    ] = None
    dropout: Annotated[Rate, Field(description="before the neck")] = 0.0
    pretrained: Annotated[bool, Field(description="timm weights; needs internet")] = False
    init_from: Annotated[
        str | None,
        Field(min_length=1, description="a .safetensors or .pth file with the backbone's weights"),
    ] = None


class RulesSection(Section):
    """A competition's rules, checked before the first batch."""

    max_parameters: Annotated[
        int | None, Field(ge=1, description="of the embedder and its heads together")
    ] = None
    from_scratch: Annotated[bool, Field(description="refuse pretrained weights")] = False
    cnn_only: Annotated[bool, Field(description="refuse attention and recurrence")] = False


# A folder of the run, and one step of a dotted path.
StageName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]


class Recipe(Section):
    """The resolved, immutable description of a run."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="the run folder: runs/<name>"),
    ]
    seed: Annotated[int, Field(ge=0, lt=2**31, description="of everything random")] = 0
    runs: Annotated[str, Field(description="folder that run folders are made in")] = "runs"
    track: Annotated[
        tuple[Literal["tensorboard", "wandb"], ...],
        Field(strict=False, description="beside metrics.jsonl: tensorboard, wandb"),
    ] = ()
    data: Annotated[DataSection, Field(description="what there is to see")]
    augment: Annotated[
        tuple[AugmentStep, ...],
        Field(strict=False, description="transforms of training images, in order"),
    ] = ()
    model: Annotated[ModelSection, Field(description="image -> embedding")] = ModelSection()
    rules: Annotated[RulesSection, Field(description="what the competition allows")] = (
        RulesSection()
    )
    train: Annotated[TrainSection, Field(description="defaults for every stage")] = TrainSection()
    stages: Annotated[
        dict[StageName, StageSection],
        Field(min_length=1, description="trained in order, by name"),
    ]
    verify: Annotated[VerifySection, Field(description="how pairs are scored")] = VerifySection()
    submission: Annotated[SubmissionSection, Field(description="the file to hand in")] = (
        SubmissionSection()
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        mistakes: list[tuple[tuple[str, ...], str]] = []
        minutes = self.train.minutes
        if minutes and all(stage.minutes != minutes for stage in self.stages.values()):
            message = (
                "no stage takes it, as each states its own length; "
                f"set stages.{next(iter(self.stages))}.minutes"
            )
            mistakes.append((("train", "minutes"), message))
        for key in ("pretrained", "init_from"):
            if self.rules.from_scratch and getattr(self.model, key):
                message = "rules.from_scratch forbids it; leave it out, or set the rule to false"
                mistakes.append((("model", key), message))
        if mistakes:
            raise Misfit(mistakes)
        return self
