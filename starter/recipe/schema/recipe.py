"""The whole recipe: one YAML file is one experiment, all its stages included."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from starter.errors import did_you_mean
from starter.recipe.schema.base import Misfit, Section
from starter.recipe.schema.data import AugmentStep, DataSection
from starter.recipe.schema.model import ModelSection, RulesSection
from starter.recipe.schema.train import StageSection, TrainSection
from starter.recipe.schema.verify import SubmissionSection, VerifySection

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
    def _stages_exist(self) -> "Recipe":
        inits = {name: stage.init for name, stage in self.stages.items()}
        mistakes = stage_order(inits, self.verify.stage)
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


def stage_order(
    inits: Mapping[str, object], verify_stage: object
) -> list[tuple[tuple[str, ...], str]]:
    """(path, message) for every `init:` that is no earlier stage and no path, for `verify.stage`,
    and for a stage whose folder is taken. Values that are no text are left to the types."""
    found: list[tuple[tuple[str, ...], str]] = []
    if "verify" in inits:
        message = "the folder verify/ of a run is verify.py's; give the stage another name"
        found.append((("stages", "verify"), message))
    earlier: list[str] = []
    for name, init in inits.items():
        is_path = isinstance(init, str) and ("/" in init or "\\" in init)
        if isinstance(init, str) and not is_path and init not in earlier:
            known = f"earlier stages: {', '.join(earlier)}" if earlier else "this is the first"
            message = (
                f"no earlier stage, and no path of a run's stage{did_you_mean(init, earlier)} "
                f"({known}) (got {init!r})"
            )
            found.append((("stages", name, "init"), message))
        earlier.append(name)
    if isinstance(verify_stage, str) and verify_stage not in inits:
        message = f"no stage{did_you_mean(verify_stage, inits)} (stages: {', '.join(inits)})"
        found.append((("verify", "stage"), f"{message} (got {verify_stage!r})"))
    return found
