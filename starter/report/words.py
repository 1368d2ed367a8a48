"""What a run reached, in sentences."""

from dataclasses import dataclass, field
from itertools import pairwise

from starter.report.curves import Curve
from starter.report.read import Run, Stage, number

GAP = 0.10  # train above dev accuracy by more than this is told
NOISE = 0.01  # of the monitor from one evaluation to the next, late in a stage
WIDE = 0.03  # an interval of the EER


@dataclass
class Words:
    """The summary: the headline, then sentences, what stands out, and the next command."""

    headline: str
    facts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    next: str | None = None


def summarise(run: Run, shown: Curve | None) -> Words:
    """shown: the curve with the band, where one was measured."""
    words = Words(_headline(run, shown))
    words.facts = [
        text
        for text in (_state(run), _change(run), _time(run), _parameters(run), _answers(run))
        if text
    ]
    words.notes = [text for text in (*_notes(run), *_resolution(run, shown)) if text]
    words.next = _next(run)
    return words


def _headline(run: Run, shown: Curve | None) -> str:
    stage, values = reached(run)
    accuracy, eer, interval = values["accuracy"], values["eer"], None
    if stage is not None and _is_verified(run, stage):
        interval = _interval(run)
    elif stage is not None and shown is not None and shown.name == stage.name:
        eer, interval = shown.eer, shown.eer_interval
    parts = []
    if accuracy is not None:
        parts.append(f"accuracy {100 * accuracy:.2f} %")
    if eer is not None:
        text = f"EER {100 * eer:.2f} %"
        if interval is not None:
            text += f" (95 % interval {100 * interval[0]:.2f} to {100 * interval[1]:.2f})"
        parts.append(text)
    if accuracy is not None and eer is not None:
        parts.append(f"combined {0.5 * accuracy + 0.5 * (1 - eer):.4f}")
    if not parts:
        begun = any(one.begun for one in run.stages)
        return "Nothing measured yet." if begun else "Nothing trained yet."
    assert stage is not None
    return f"{stage.name}: {', '.join(parts)}."


def reached(run: Run) -> tuple[Stage | None, dict[str, float | None]]:
    """The stage that is shown, and its accuracy, EER and AUC: verify's, else its best's."""
    stage = run.shown_stage
    values: dict[str, float | None] = dict.fromkeys(("accuracy", "eer", "auc"))
    if stage is not None:
        values = {name: last_value(stage, name) for name in values}
        if _is_verified(run, stage):
            found = {
                "accuracy": number(run.result, "dev_accuracy"),
                "eer": number(run.result, "val", "eer"),
                "auc": number(run.result, "val", "auc"),
            }
            values |= {name: value for name, value in found.items() if value is not None}
    return stage, values


def _is_verified(run: Run, stage: Stage) -> bool:
    return run.result.get("stage") == stage.name


def _interval(run: Run) -> tuple[float, float] | None:
    found = run.result.get("val")
    given = found.get("intervals", {}).get("eer") if isinstance(found, dict) else None
    if isinstance(given, list) and len(given) == 2:
        low, high = number({"x": given[0]}, "x"), number({"x": given[1]}, "x")
        if low is not None and high is not None:
            return low, high
    return None


def last_value(stage: Stage, name: str) -> float | None:
    """The metric of the stage's best checkpoint, else the last measured."""
    value = number(stage.summary, name)
    if value is None:
        value = number(stage.record, "metrics", name)
    return value if value is not None else next(reversed(stage.column(name)[1]), None)


def _state(run: Run) -> str:
    parts = []
    for stage in run.stages:
        done, wanted = len(stage.epochs), stage.wanted
        of = f" of {wanted}" if wanted else ""
        if stage.finished:
            parts.append(f"{stage.name} is finished ({done} epochs)")
        elif stage.begun:
            parts.append(f"{stage.name} stands at epoch {done}{of}")
        else:
            parts.append(f"{stage.name} has not begun")
    return "; ".join(parts) + "." if parts else ""


def _change(run: Run) -> str:
    """From each measured stage to the next, in points."""
    parts = []
    for name, called in (("accuracy", "accuracy"), ("eer", "EER")):
        values = [(stage.name, last_value(stage, name)) for stage in run.stages if stage.begun]
        known = [(who, value) for who, value in values if value is not None]
        for (before, old), (after, new) in pairwise(known):
            parts.append(
                f"{called} {100 * (new - old):+.2f} points from {before} to {after} "
                f"({100 * old:.2f} to {100 * new:.2f} %)"
            )
    gates = [str(stage.record["gate"]) for stage in run.stages if stage.record.get("gate")]
    text = "By stage: " + "; ".join(parts) + "." if parts else ""
    return " ".join(filter(None, [text, f"The last gate said: {gates[-1]}." if gates else ""]))


def _time(run: Run) -> str:
    seconds = sum(number(stage.summary, "seconds") or 0 for stage in run.stages)
    device = run.environment.get("device")
    where = f" on {device}" if device else ""
    if not seconds:
        return ""
    return f"Training took {duration(seconds)}{where}, evaluation not counted."


def _parameters(run: Run) -> str:
    counts = [number(stage.summary, "parameters") for stage in run.stages]
    most = max((count for count in counts if count is not None), default=None)
    if most is None:
        return ""
    limit = number(run.recipe, "rules", "max_parameters")
    if limit is None:
        return f"{most:,.0f} parameters; the recipe sets no limit."
    return (
        f"{most:,.0f} parameters with the class head, {100 * most / limit:.0f} % of the limit of "
        f"{limit:,.0f}."
    )


def _answers(run: Run) -> str:
    found = {name: number(run.result, "answers", name) for name in ("accuracy", "eer")}
    parts = [
        f"{'EER' if name == 'eer' else name} {100 * value:.2f} %"
        for name, value in found.items()
        if value is not None
    ]
    return f"On the held-back answers: {', '.join(parts)}." if parts else ""


def _notes(run: Run) -> list[str]:
    notes = []
    for stage in run.stages:
        notes += [_gap(run, stage), _wait(stage), _noise(run, stage)]
    return notes


def _gap(run: Run, stage: Stage) -> str:
    arrays = run.arrays(stage.shown("classes"))
    names = ("train_label", "train_predicted", "dev_label", "dev_predicted")
    if arrays is None or not set(names) <= set(arrays) or not all(len(arrays[n]) for n in names):
        return ""
    try:
        train, dev = (
            float((arrays[f"{split}_label"] == arrays[f"{split}_predicted"]).mean())
            for split in ("train", "dev")
        )
    except (ValueError, AttributeError):
        return ""
    if train - dev <= GAP:
        return ""
    return (
        f"{stage.name} knows its training images better than new ones: accuracy "
        f"{100 * train:.1f} % against {100 * dev:.1f} % on dev, a gap of "
        f"{100 * (train - dev):.0f} points. Try more augmentation, mixing, drop_path, a larger "
        "weight_decay, or fewer epochs."
    )


def _wait(stage: Stage) -> str:
    """What the stage itself said of it, where it did after most of its epochs."""
    said = [row["advice"] for row in stage.epochs if isinstance(row.get("advice"), str)]
    return f"{stage.name}: {said[-1]}." if 2 * len(said) > len(stage.epochs) else ""


def _noise(run: Run, stage: Stage) -> str:
    """Jumps of the monitor late in the stage, where it should have settled."""
    monitor = str(stage.section.get("monitor", "combined"))
    values = stage.column(monitor)[1]
    late = values[len(values) // 2 :]
    if len(late) < 4:
        return ""
    jumps = [abs(new - old) for old, new in pairwise(late)]
    mean = sum(jumps) / len(jumps)
    if mean <= NOISE:
        return ""
    return (
        f"{stage.name}: {monitor} still moves by {100 * mean:.1f} points from one evaluation to "
        "the next, so which checkpoint is best is partly luck. Try ema, or a lower final rate."
    )


def _resolution(run: Run, shown: Curve | None) -> list[str]:
    found = shown.found if shown is not None else run.result.get("val")
    notes = []
    impostor = number(found, "impostor")
    if impostor and impostor < 1000:
        notes.append(
            f"{impostor:.0f} impostor pairs cannot resolve a FAR below {1 / impostor:.2g}: no TAR "
            "at 0.1 % is given."
        )
    interval = _interval(run) or (shown.eer_interval if shown is not None else None)
    if interval and interval[1] - interval[0] > WIDE:
        notes.append(
            f"The EER is known to {100 * (interval[1] - interval[0]):.1f} points only: a change "
            "smaller than that may be chance. Compare runs on the same pairs."
        )
    return notes


def _next(run: Run) -> str:
    place = run.path.as_posix()
    if not run.stages or any(not stage.finished for stage in run.stages):
        return f"python train.py {place}/recipe.yaml"
    if not run.result:
        return f"python verify.py {place}"
    if (run.path / "submission.csv").is_file():
        return f"python submit.py {place} --dry-run"
    return f"python -m starter.report {place} ANOTHER_RUN"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"
