"""What a run reached, in sentences and in the table of its stages."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from starter.metrics import combined
from starter.report.pair_figures import Curve
from starter.report.read import Run, Stage, is_number, mapping, number

GAP = 0.10  # train above dev accuracy by more than this is told
NOISE = 0.01  # of the monitor from one evaluation to the next, late in a stage
WIDE = 0.03  # an interval of the EER
CALLED = {"accuracy": "accuracy", "eer": "EER", "auc": "AUC"}


@dataclass
class Words:
    """The summary: the headline, then sentences, what stands out, and the next command."""

    headline: str
    facts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    next: str | None = None


def summarise(run: Run, shown: Curve | None) -> Words:
    """shown: the curve with the band, where one was measured."""
    facts = [_state(run), _change(run), _time(run), _parameters(run), _answers(run)]
    notes = [note for stage in run.stages for note in (_gap(run, stage), _noise(stage))]
    notes += _resolution(run, shown)
    return Words(_headline(run, shown), [*filter(None, facts)], [*filter(None, notes)], _next(run))


def _headline(run: Run, shown: Curve | None) -> str:
    stage, values = reached(run)
    if stage is None:
        return "Nothing trained yet."
    accuracy, eer, interval = values["accuracy"], values["eer"], None
    if run.result.get("stage") == stage.name:
        interval = _interval(run)
    elif shown is not None and shown.name == stage.name:
        eer, interval = shown.eer, shown.eer_interval
    parts = [] if accuracy is None else [f"accuracy {100 * accuracy:.2f} %"]
    if eer is not None:
        between = "{:.2f} to {:.2f}".format(*(100 * end for end in interval)) if interval else ""
        parts.append(f"EER {100 * eer:.2f} %" + (f" (95 % interval {between})" if between else ""))
    if (both := combined(accuracy, eer)) is not None:
        parts.append(f"combined {both:.4f}")
    if not parts and is_own(stage.monitor) and (value := stage.last(stage.monitor)) is not None:
        parts.append(f"{stage.monitor} {value:.4f}")
    return f"{stage.name}: {', '.join(parts)}." if parts else "Nothing measured yet."


def reached(run: Run) -> tuple[Stage | None, dict[str, float | None]]:
    """The stage that is shown, and its accuracy, EER and AUC: verify's, else its best's."""
    stage = run.shown_stage
    if stage is None:
        return None, dict.fromkeys(CALLED)
    values = {name: stage.last(name) for name in CALLED}
    if run.result.get("stage") == stage.name:
        verified = {name: number(run.result, "val", name) for name in ("eer", "auc")}
        verified["accuracy"] = number(run.result, "dev_accuracy")
        values |= {name: value for name, value in verified.items() if value is not None}
    return stage, values


def _interval(run: Run) -> tuple[float, float] | None:
    interval = mapping(mapping(run.result.get("val")).get("intervals")).get("eer")
    if isinstance(interval, list) and len(interval) == 2 and all(map(is_number, interval)):
        return interval[0], interval[1]
    return None


def _state(run: Run) -> str:
    parts = []
    for stage in run.stages:
        done, planned = len(stage.epochs), stage.planned_epochs
        state = f"is finished ({done} epochs)" if stage.finished else "has not begun"
        if stage.begun and not stage.finished:
            state = f"stands at epoch {done}" + (f" of {planned}" if planned else "")
        parts.append(f"{stage.name} {state}")
    return "; ".join(parts) + "." if parts else ""


def _change(run: Run) -> str:
    """From each measured stage to the next, in points."""
    parts = []
    for name in ("accuracy", "eer"):
        values = [(stage.name, stage.last(name)) for stage in run.stages if stage.begun]
        known = [(stage, value) for stage, value in values if value is not None]
        parts += [
            f"{CALLED[name]} {100 * (new - old):+.2f} points from {before} to {after} "
            f"({100 * old:.2f} to {100 * new:.2f} %)"
            for (before, old), (after, new) in pairwise(known)
        ]
    gates = [str(stage.record["gate"]) for stage in run.stages if stage.record.get("gate")]
    text = f"By stage: {'; '.join(parts)}." if parts else ""
    return text + (f" The last gate said: {gates[-1]}." if gates else "")


def _time(run: Run) -> str:
    device = run.environment.get("device")
    took = duration(run.seconds) + (f" on {device}" if device else "")
    return f"Training took {took}, evaluation not counted." if run.seconds else ""


def _parameters(run: Run) -> str:
    counts = (number(stage.summary, "parameters") for stage in run.stages)
    most = max((count for count in counts if count is not None), default=None)
    if most is None:
        return ""
    limit = number(run.recipe, "rules", "max_parameters")
    if limit is None:
        return f"{most:,.0f} parameters; the recipe sets no limit."
    share = f"{100 * most / limit:.0f} % of the limit of {limit:,.0f}"
    return f"{most:,.0f} parameters with the class head, {share}."


def _answers(run: Run) -> str:
    values = {name: number(run.result, "answers", name) for name in ("accuracy", "eer")}
    parts = [f"{CALLED[n]} {100 * value:.2f} %" for n, value in values.items() if value is not None]
    return f"On the held-back answers: {', '.join(parts)}." if parts else ""


def _gap(run: Run, stage: Stage) -> str:
    """Training accuracy far above that on dev."""
    arrays = run.arrays(stage.folder.shown_file("classes"))
    accuracy = {}
    for split in ("train", "dev"):
        label_M, predicted_M = (arrays.get(f"{split}_{kind}") for kind in ("label", "predicted"))
        if label_M is None or predicted_M is None or not len(label_M):
            return ""
        if label_M.shape != predicted_M.shape:
            return ""
        accuracy[split] = float(np.mean(label_M == predicted_M))
    gap = accuracy["train"] - accuracy["dev"]
    if gap <= GAP:
        return ""
    return (
        f"{stage.name} knows its training images better than new ones: accuracy "
        f"{100 * accuracy['train']:.1f} % against {100 * accuracy['dev']:.1f} % on dev, a gap of "
        f"{100 * gap:.0f} points. Try more augmentation, mixing, drop_path, a larger "
        "weight_decay, or fewer epochs."
    )


def _noise(stage: Stage) -> str:
    """Jumps of the monitor late in the stage, where it should have settled."""
    values = stage.column(stage.monitor)[1]
    late = values[len(values) // 2 :]
    jump = float(np.abs(np.diff(late)).mean()) if len(late) >= 4 else 0.0
    if jump <= NOISE:
        return ""
    return (
        f"{stage.name}: {stage.monitor} still moves by {100 * jump:.1f} points from one evaluation "
        "to the next, so which checkpoint is best is partly luck. Try ema, or a lower final rate."
    )


def _resolution(run: Run, shown: Curve | None) -> list[str]:
    """What so few pairs cannot say."""
    notes = []
    impostor = number(shown.metrics if shown is not None else run.result.get("val"), "impostor")
    if impostor and impostor < 1000:
        least = f"{impostor:.0f} impostor pairs cannot resolve a FAR below {1 / impostor:.2g}"
        notes.append(f"{least}: no TAR at 0.1 % is given.")
    low, high = _interval(run) or (shown and shown.eer_interval) or (0, 0)
    if high - low > WIDE:
        text = "points only: a change smaller than that may be chance. Compare runs on the same"
        notes.append(f"The EER is known to {100 * (high - low):.1f} {text} pairs.")
    return notes


def _next(run: Run) -> str:
    if not run.stages or not all(stage.finished for stage in run.stages):
        return f"python train.py {run.folder.recipe.as_posix()}"
    if not run.result:
        return f"python verify.py {run.folder}"
    if run.folder.submission.is_file():
        return f"python submit.py {run.folder} --dry-run"
    return f"python -m starter.report {run.folder} ANOTHER_RUN"


def stage_rows(run: Run) -> list[list[str]]:
    """The table of stages; a dash where nothing was measured."""
    own = list(dict.fromkeys(s.monitor for s in run.stages if is_own(s.monitor)))
    head = ["stage", *CALLED.values(), *own, "epochs", "time", "images/s", "parameters"]
    rows = [head]
    for stage in run.stages:
        if not stage.begun and not stage.summary:
            continue
        mark = " (best)" if stage.name == run.best else ""
        state = "" if stage.finished else " (not finished)"
        rows.append([stage.name + mark + state])
        rows[-1] += [cell(stage.last(name), "{:.2%}") for name in CALLED]
        rows[-1] += [cell(stage.last(name), "{:.4f}") for name in own]
        rows[-1] += [str(len(stage.epochs)), duration(number(stage.summary, "seconds"))]
        rows[-1] += [cell(stage.last("images_per_second"), "{:,.0f}")]
        rows[-1] += [cell(number(stage.summary, "parameters"), "{:,.0f}")]
    return rows


def is_own(monitor: str) -> bool:
    """Whether a metric is none of those that every run shows."""
    return monitor not in CALLED and monitor != "combined"


def cell(value: float | None, form: str) -> str:
    """A number of the table; percent as "12.34 %"."""
    return "-" if value is None else form.format(value).replace("%", " %")


def duration(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if not seconds:
        return "-"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
