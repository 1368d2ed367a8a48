"""The paths of a run folder: every file name of runs/<name>/ is spelled here and nowhere else.

<run>/recipe.yaml, environment.json, code.diff, summary.json, best.json, report.html, figures/
      fusion.json                        of a fusion: the runs that it was made of
      submission.csv                     and submission_<kind>.csv for the set's other samples
      proposed.yaml                      where train.py was given a folder
      verify/                            result.json, threshold.json, calibration.json,
                                         embeddings.npz, <pairs>_scores.npy, shown/<pairs>.npz
      <stage>/                           stage.json, metrics.jsonl, choices.json, predictions/,
                                         shown/
      <stage>/checkpoints/               last.json, best.json, <step>/ with weights.safetensors,
                                         meta.json and resume.pt
"""

import contextlib
import logging
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from starter import files
from starter.errors import UserError
from starter.runs.records import Best, Meta, Stage, Step, Summary
from starter.runs.result import Fusion, Result

log = logging.getLogger(__name__)

Pointer = Literal["last", "best"]


class _Part:
    """A file or folder of a fixed name inside a folder."""

    def __init__(self, *names: str):
        self.names = names

    def __get__(self, folder: "_Folder", owner: type) -> Path:
        return folder.path.joinpath(*self.names)


@dataclass(frozen=True)
class _Folder:
    path: Path

    def __str__(self) -> str:
        return self.path.as_posix()


class CheckpointFolder(_Folder):
    """<stage>/checkpoints/<step>/."""

    @property
    def stage(self) -> "StageFolder":
        return StageFolder(self.path.parent.parent)

    weights = _Part("weights.safetensors")  # embedder and heads (averaged, where EMA is on)
    meta = _Part("meta.json")  # what the weights are, with checksums
    resume = _Part("resume.pt")  # what continues the training


class StageFolder(_Folder):
    """<run>/<stage>/."""

    @property
    def name(self) -> str:
        return self.path.name

    record = _Part("stage.json")  # the stage's hash, and whether it is finished
    metrics = _Part("metrics.jsonl")  # a line per interval and per epoch
    choices = _Part("choices.json")  # what the stage measured for itself
    predictions = _Part("predictions", "best.npz")  # predictions and scores of the best checkpoint
    shown = _Part("shown")  # the folder of what the report shows
    wandb = _Part("wandb.json")  # the stage's run at Weights & Biases
    distorted = _Part("distorted.json")  # accuracy on altered images, measured by a study
    trials = _Part(".measured")  # what `train.minutes` writes while it measures; removed after
    checkpoints = _Part("checkpoints")

    def shown_file(self, name: str) -> Path:
        """The arrays of one of the report's parts."""
        return self.shown / f"{name}.npz"

    def checkpoint(self, step: int) -> CheckpointFolder:
        return CheckpointFolder(self.checkpoints / str(step))

    def unfinished_checkpoint(self, step: int) -> CheckpointFolder:
        """Where a checkpoint is written before it is renamed."""
        return CheckpointFolder(self.checkpoints / f".part-{step}")

    def pointer(self, name: Pointer) -> Path:
        """The file that names the step of the last or the best checkpoint."""
        return self.checkpoints / f"{name}.json"


class RunFolder(_Folder):
    """runs/<name>/."""

    @classmethod
    def existing(cls, path: str | Path) -> "RunFolder":
        """The run folder at `path`. UserError when it is none, naming those that are near."""
        folder = cls(Path(path))
        if folder.recipe.is_file():
            return folder
        near = [other.path.as_posix() for other in run_folders_in(folder.path.parent)]
        hint = f"; run folders there: {', '.join(near)}" if near else ""
        raise UserError(f"{folder} is no run folder (it has no {folder.recipe.name}){hint}")

    @property
    def name(self) -> str:
        return self.path.resolve().name

    recipe = _Part(files.RUN_RECIPE)  # the resolved recipe, every default written out
    proposed = _Part("proposed.yaml")  # the recipe that train.py proposed for a folder
    environment = _Part(files.RUN_ENVIRONMENT)  # commit, versions and device
    code_difference = _Part("code.diff")  # what the code differed by from its commit
    summary = _Part("summary.json")  # what each finished stage came to
    best = _Part("best.json")  # the stage that the gates left as the run's best
    fusion = _Part("fusion.json")  # the runs that this folder's result was made of; absent in a run
    report = _Part("report.html")
    figures = _Part("figures")  # the folder of the report's figures
    submission = _Part("submission.csv")  # the file to hand in
    kaggle_origin = _Part("kaggle_origin.json")  # the Kaggle kernel that the run came from
    kaggle_log = _Part("kaggle.log")  # what that kernel printed
    verify = _Part("verify")  # the folder of what verify.py keeps
    result = _Part("verify", "result.json")  # what verify.py measured and made
    threshold = _Part("verify", "threshold.json")  # where to say "same"
    calibration = _Part("verify", "calibration.json")  # score -> probability, and how good it is

    @property
    def handin(self) -> Path:
        """The zip that `submit.py package` makes."""
        return self.path / f"{self.name}_handin.zip"

    def other_submission(self, sample: str) -> Path:
        """The file that answers another sample, by that one's name without its ending."""
        kind = re.sub(r"^(sample)?[_-]*(submission)?[_-]*", "", sample)
        return self.path / f"submission_{kind}.csv"

    def embeddings(self, stage: str | None = None) -> Path:
        """Embeddings of the stage that the result is of, or of another stage that is named."""
        return self.verify / ("embeddings.npz" if stage is None else f"embeddings-{stage}.npz")

    def scores(self, pairs: str) -> Path:
        """Scores of a set of pairs, score_P float32."""
        return self.verify / f"{pairs}_scores.npy"

    def shown_scores(self, pairs: str) -> Path:
        """Scores of labelled pairs with what they should say, for the report."""
        return self.verify / "shown" / f"{pairs}.npz"

    def tensorboard(self, stage: str) -> Path:
        """The folder of a stage's TensorBoard events."""
        return self.path / "tensorboard" / stage

    def find_lr(self, stage: str, suffix: str) -> Path:
        """A file of the learning rate range test."""
        return self.path / f"find-lr-{stage}{suffix}"

    def stage(self, name: str) -> StageFolder:
        return StageFolder(self.path / name)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """No other process trains in the folder while the body runs; UserError where one does."""
        taken = (
            f"{self}: another process is training there; wait until it has ended, or train "
            "beside it with name=ANOTHER"
        )
        with files.lock(self.path / ".lock", taken):
            yield

    def read_stage(self, name: str) -> Stage | None:
        """A stage's record; None where it has not begun."""
        return Stage.find(self.stage(name).record)

    def read_best(self) -> str | None:
        """The stage that the gates left as the run's best."""
        best = Best.find(self.best)
        return None if best is None else best.stage

    def read_result(self) -> Result | None:
        """What verify.py measured and made; None before it ran."""
        return Result.find(self.result)

    def read_fusion(self) -> Fusion | None:
        """The runs that verify.py made this folder's result of; None for a run."""
        return Fusion.find(self.fusion)

    def read_summary(self) -> Summary:
        """What the finished stages came to; empty before the first."""
        return Summary.find(self.summary) or Summary(stages={}, best=None)

    def weights_of(self, stage: str) -> str | None:
        """sha256 of a stage's best weights; None where there are none. Imports no torch."""
        best = Step.find(self.stage(stage).pointer("best"))
        if best is None:
            return None
        return Meta.read(self.stage(stage).checkpoint(best.step).meta).weights_sha256

    def discard(self, stages: list[str]) -> None:
        """Removes stages, and what was made of them."""
        for name in stages:
            if self.stage(name).path.exists():
                shutil.rmtree(self.stage(name).path)
                log.info("%s: discarded", self.stage(name))


def run_folders_in(path: Path) -> list[RunFolder]:
    """The run folders directly in a folder, sorted."""
    return [RunFolder(recipe.parent) for recipe in sorted(path.glob("*/recipe.yaml"))]
