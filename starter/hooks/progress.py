"""What a person sees of a stage: a bar or a line now and then, a line for every epoch.

And a warning where it learns nothing; a loss that is not finite ends the stage (`meters.py`).
"""

import logging
import sys
import time
from typing import Any

import numpy as np

from starter import distributed
from starter.hooks.base import Hook, Row
from starter.inference.evaluate import Evaluation
from starter.training.minutes import duration
from starter.training.state import StageJob, TrainState

log = logging.getLogger(__name__)

LINE_SECONDS = 15  # between two log lines where there is no terminal
BOTTLENECK = 0.15  # of the time, waited for data: more is worth a word
FEW_UPDATES = 200  # before which LossWatch says nothing


class Progress(Hook):
    """A bar on a terminal or in a notebook, else a line every few seconds."""

    def __init__(self, job: StageJob):
        self.job = job
        self._bar: Any = None

    def begin(self, state: TrainState) -> None:
        self.steps, self._epochs = state.steps, state.steps // state.per_epoch
        self._start, self._first, self._last_line = time.monotonic(), state.step, time.monotonic()
        if distributed.is_main() and (sys.stderr.isatty() or "ipykernel" in sys.modules):
            from tqdm.auto import tqdm

            self._bar = tqdm(
                total=state.steps, initial=state.step, desc=self.job.name, unit="step", leave=False
            )

    def row(self, row: Row) -> None:
        if row["kind"] == "epoch":
            log.info("%s", self._epoch_line(row))
            return
        losses = {k: v for k, v in row.items() if k not in ("kind", "step", "lr")}
        text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        if self._bar is not None:
            self._bar.set_postfix_str(f"{text} lr {row['lr']:.2g}", refresh=False)
            self._bar.update(row["step"] - self._bar.n)
        elif time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            seconds, done = self._last_line - self._start, row["step"] - self._first
            left = duration(seconds / max(done, 1) * (self.steps - row["step"]))
            place = f"{row['step']:{len(str(self.steps))}}/{self.steps}"
            log.info("%s %s  %s  lr %.2g  %s left", self.job.name, place, text, row["lr"], left)

    def after_epoch(self, state: TrainState) -> None:
        if state.out_of_patience:
            log.info(
                "%s: patience: no better %s in %d evaluations; ends after epoch %d of %d, epoch %d "
                "was best",
                self.job.name,
                self.job.section.monitor,
                state.waited,
                state.step // state.per_epoch,
                self._epochs,
                state.best_step // state.per_epoch,
            )

    def _epoch_line(self, row: Row) -> str:
        """What every epoch has first, in columns; what only an evaluated one has behind it."""
        parts = [
            f"{self.job.name} epoch {row['epoch']:>{len(str(self._epochs))}}/{self._epochs}",
            f"loss {row['loss']:7.3f}",
            f"{row['images_per_second']:6.0f} images/s",
            f"waiting for data {100 * row['data_wait']:2.0f} %",
        ]
        if row["peak_memory_gb"] is not None:
            parts.append(f"memory {row['peak_memory_gb']:4.1f} GB")
        parts += [
            f"{label} {100 * row[key]:6.2f} %"
            for key, label in (("accuracy", "accuracy"), ("eer", "EER"), ("auc", "AUC"))
            if row.get(key) is not None
        ]
        waited = row["data_wait"]
        # A network on the CPU shares its cores with the preparation: there nothing is to be won.
        if waited >= BOTTLENECK and self.job.device.type != "cpu":
            now = f"now {self.job.recipe.data.workers}; {distributed.cores()} cores are here"
            share = f"{100 * waited:.0f} % of the time it waits for images"
            parts.append(f"{share}: look at data.workers ({now})")
        return "  ".join(parts)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class LossWatch(Hook):
    """Looks at the dev images' classes after warm-up, an epoch and FEW_UPDATES updates."""

    def __init__(self, job: StageJob):
        self.job, self._warned = job, False

    def after_evaluation(self, state: TrainState, evaluation: Evaluation) -> None:
        warm = self.job.section.schedule.warmup_epochs * state.per_epoch
        early = state.step < max(FEW_UPDATES, state.per_epoch, warm)
        if self._warned or early or evaluation.predicted_M is None:
            return
        label_M = self.job.catalog.label_N[self.job.catalog.index("dev")]
        message = verdict(label_M, evaluation.predicted_M)
        if message:
            self._warned = True
            log.warning("%s: after %d updates %s", self.job.name, state.step, message)


def verdict(label_M: np.ndarray, predicted_M: np.ndarray) -> str | None:
    """What is wrong with the predictions, or None. Labels and predictions int64 (M)."""
    count_K = np.bincount(label_M)
    if np.count_nonzero(count_K) < 2:
        return None
    if (predicted_M == predicted_M[0]).all():
        return f"all {len(label_M)} dev images are given one class"
    share = count_K.max() / len(label_M)  # what guessing the commonest class would reach
    chance = share * len(label_M) + 3 * np.sqrt(share * (1 - share) * len(label_M))
    right = int((label_M == predicted_M).sum())
    if right <= chance and len(label_M) * (1 - share) > 20:
        return (
            f"{right} of {len(label_M)} dev images are right, which guessing would reach too: look "
            "at the labels, or try optimizer.lr a tenth and ten times"
        )
    return None
