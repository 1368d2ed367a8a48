"""What a stage tells while it runs: metrics.jsonl, a progress bar or log lines, and the guard."""

import json
import logging
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from starter import distributed
from starter.errors import UserError

log = logging.getLogger(__name__)

LOG_EVERY = 20  # updates between two reads of the losses: each read waits for the device
LINE_SECONDS = 15  # between two log lines where there is no terminal


class MetricsFile:
    """metrics.jsonl: a line per interval and per epoch, each with the number of updates done."""

    def __init__(self, path: Path, after_row: Callable[[], None] = lambda: None):
        self.path, self._after_row = path, after_row

    def cut(self, step: int) -> None:
        """Drops lines written after update `step`, and a line that a kill left unfinished."""
        if not self.path.is_file() or not distributed.is_main():
            return
        kept = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                break
            if row["step"] <= step:
                kept.append(line + "\n")
        part = self.path.with_name(".metrics.part")
        part.write_text("".join(kept), encoding="utf-8")
        part.replace(self.path)

    def write(self, row: dict) -> None:
        """Appends one line; process 0's are all there are."""
        if not distributed.is_main():
            return
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        self._after_row()


class LossMeter:
    """Losses kept on the device and read once an interval; stops the run at a non-finite one.

    Sums are Python floats added one update at a time, so they do not depend on when they are
    read, and a resumed epoch reports the same means.
    """

    def __init__(self) -> None:
        self.epoch: dict[str, float] = {}
        self.epoch_count = 0
        self.interval: dict[str, float] = {}
        self.interval_count = 0
        self._waiting: list[tuple[int, float, dict[str, torch.Tensor]]] = []

    def add(self, step: int, learning_rate: float, losses: dict[str, torch.Tensor]) -> None:
        """Keeps the losses of one update, unread."""
        self._waiting.append((step, learning_rate, losses))

    def flush(self) -> None:
        """Reads what waits into the sums.

        Raises:
            UserError: a loss was not finite, naming the update, the term and the learning rate.
        """
        if not self._waiting:
            return
        names = list(self._waiting[0][2])
        values = torch.stack([row[2][name].float() for row in self._waiting for name in names])
        values = distributed.mean(values)  # of equal slices: that of the whole batch
        table = values.reshape(-1, len(names)).cpu().tolist()
        for (step, learning_rate, _), row in zip(self._waiting, table, strict=True):
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    raise UserError(
                        f"the loss is {value} at update {step + 1}, term {name}, learning rate "
                        f"{learning_rate:.3g}: {_why_not_finite(step)}; lower optimizer.lr, "
                        "lengthen schedule.warmup_epochs or set clip_grad, and begin the stage "
                        "anew with --fresh STAGE"
                    )
                self.epoch[name] = self.epoch.get(name, 0.0) + value
                self.interval[name] = self.interval.get(name, 0.0) + value
            self.epoch_count += 1
            self.interval_count += 1
        self._waiting.clear()

    def end_interval(self) -> dict[str, float]:
        """Mean loss of each term since the last interval ended; begins a new one."""
        self.flush()
        means = {name: value / self.interval_count for name, value in self.interval.items()}
        self.interval, self.interval_count = {}, 0
        return means

    def end_epoch(self) -> dict[str, float]:
        """Mean loss of each term since the last epoch ended; begins a new one."""
        self.flush()
        means = {name: value / self.epoch_count for name, value in self.epoch.items()}
        self.epoch, self.epoch_count = {}, 0
        return means

    def state(self) -> dict:
        """The sums, as plain values."""
        self.flush()
        kept = ("epoch", "epoch_count", "interval", "interval_count")
        return {name: getattr(self, name) for name in kept}

    @classmethod
    def from_state(cls, state: dict) -> "LossMeter":
        """A meter that goes on from `state()`."""
        meter = cls()
        for name, value in state.items():
            setattr(meter, name, value)
        return meter


class Progress:
    """A bar on a terminal or in a notebook, else a line every few seconds."""

    def __init__(self, stage: str, steps: int, done: int):
        self.stage, self.steps = stage, steps
        self._start, self._first, self._last_line = time.monotonic(), done, time.monotonic()
        self._bar = None
        if distributed.is_main() and (sys.stderr.isatty() or "ipykernel" in sys.modules):
            from tqdm.auto import tqdm

            self._bar = tqdm(total=steps, initial=done, desc=stage, unit="step", leave=False)

    def update(self, step: int, losses: dict[str, float], learning_rate: float) -> None:
        """Shows that `step` updates are done; the losses are those last read."""
        text = " ".join(f"{name} {value:.3f}" for name, value in losses.items())
        if self._bar is not None:
            self._bar.set_postfix_str(f"{text} lr {learning_rate:.2g}", refresh=False)
            self._bar.update(step - self._bar.n)
            return
        now = time.monotonic()
        if now - self._last_line < LINE_SECONDS:
            return
        self._last_line = now
        left = (now - self._start) / max(step - self._first, 1) * (self.steps - step)
        log.info(
            "%s %*d/%d  %s  lr %.2g  %s left",
            self.stage,
            len(str(self.steps)),
            step,
            self.steps,
            text,
            learning_rate,
            duration(left),
        )

    def close(self) -> None:
        """Removes the bar."""
        if self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """Seconds as a person says them: 45 s, 12 min, 3 h 05."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d}"


def _why_not_finite(step: int) -> str:
    """The likely cause of a loss that is NaN or infinite at update `step`, 0-based: the kit's
    losses are finite for finite embeddings, however long, short, equal or opposite."""
    if step == 0:
        return (
            "at the first update that is no matter of the rate: the images after data.mean and "
            "data.std, or the weights it starts from, are not finite"
        )
    return "the network's output or a weight was not finite before the loss was"
