"""What the commands print: numbers and tables, what train.py, verify.py and submit.py say."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from starter.runs.records import Summary
from starter.runs.result import (
    Answers,
    Decision,
    Fusion,
    PairAnswer,
    PairMetrics,
    Reliability,
    Result,
)

T = TypeVar("T")
Lines = list[tuple[str, str]]  # what a line is of, and its text


def show(result: T, text: Callable[[T], str], as_json: bool) -> None:
    """Prints a command's result: JSON for a program, else as `text` puts it for a person."""
    print(json.dumps(result, indent=1) if as_json else text(result))


def percent(fraction: float | None) -> str:
    """A fraction in percent; a dash where it was not measured."""
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def decimal(value: float | None, digits: int = 4) -> str:
    """A number with fixed decimals; a dash where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def bracket(interval: Sequence[float] | None, digits: int = 4, scale: int = 1) -> str:
    """An interval behind its estimate; nothing where there is none."""
    if interval is None:
        return ""
    low, high = (f"{scale * end:.{digits}f}" for end in interval)
    return f" [{low}, {high}]"


def columns(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows of text as a table: the first column aligned left, the others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def stage_table(summary: Summary) -> str:
    """What `starter.train` returned, a line a stage; * marks the run's best."""
    rows = [
        (
            name + (" *" if name == summary.best else ""),
            str(stage.epochs),
            decimal(stage.seconds / 60, 1),
            decimal(stage.images_per_second, 0),
            *map(percent, (stage.accuracy, stage.eer, stage.auc)),
        )
        for name, stage in summary.stages.items()
    ]
    return columns([("stage", "epochs", "minutes", "images/s", "accuracy", "EER", "AUC"), *rows])


def pair(answer: PairAnswer) -> str:
    """Two pictures, in a line."""
    word = "same" if answer.same else "different"
    return (
        f"{word}: score {answer.score:.4f}, threshold {answer.threshold:.4f}, probability of the "
        f"same {percent(answer.probability)}"
    )


def verified(result: Result, report: Path | None) -> str:
    """What was reached and where it lies, a line a fact."""
    lines: Lines = _fusion(result.fusion) if result.fusion else []
    for name, stage in result.stages.items():
        mark = " (embeds)" if name == result.stage else ""
        lines.append((name, f"accuracy {percent(stage.accuracy)}, EER {percent(stage.eer)}{mark}"))
    for name, metrics in (("validation", result.val), ("held out", result.held)):
        if metrics:
            lines.append((name, _pairs(metrics)))
    if result.decision and result.calibration:
        lines += _decision(result.decision, result.calibration)
    lines += _protocols(result)
    for split, accuracy in (("dev", result.dev_accuracy), ("test", result.test_accuracy)):
        if accuracy is not None:
            lines.append((split, f"accuracy {percent(accuracy)}"))
    if result.answers:
        lines.append(("answers", _answers(result.answers)))
    lines.append(("classes", result.classes_from))
    if report:
        lines.append(("report", report.as_posix()))
    submission = result.submission
    if submission is None:
        lines.append(("submission", "none: nothing to predict, or a warning says why"))
    else:
        checked = f", checked against {submission.sample}" if submission.sample else ""
        if nobody := submission.nobody:
            text = (
                f"{nobody.word} below a probability of {nobody.threshold:.4f}: balanced accuracy "
                f"{percent(nobody.balanced_accuracy)} on the {nobody.known} known and "
                f"{nobody.unknown} unknown images it was fitted on"
            )
            lines.append(("nobody", text))
        lines += [
            ("submission", f"{submission.csv}: {submission.rows} rows{checked}"),
            ("files", f"{result.run}/ (recipe, checkpoints, metrics.jsonl, verify/)"),
            ("next", f"python submit.py {result.run} --dry-run"),
        ]
    return "\n".join(["", *(f"{name:<12} {text}" for name, text in lines)])


def _fusion(fusion: Fusion) -> Lines:
    """What several runs were made into, and what each was worth alone."""
    eers: tuple[float | None, ...] = fusion.eer_of_each or (None,) * len(fusion.members)
    lines: Lines = []
    for member, eer in zip(fusion.members, eers, strict=True):
        name = f"{member.run} ({member.stage})"
        lines.append((fusion.kind, f"{name}: share {member.share:.3f}, EER alone {percent(eer)}"))
    if fusion.kind == "weighted":
        held, equal = percent(fusion.held_out_eer), percent(fusion.equal_eer)
        lines.append(("", f"on held-out identities EER {held}, equal weights {equal}"))
    return [*lines, ("", f"{fusion.parameters:,} parameters together")]


def _pairs(metrics: PairMetrics) -> str:
    spread = bracket((metrics.intervals or {}).get("eer"), 2, 100)
    return (
        f"EER {percent(metrics.eer)}{spread}, AUC {percent(metrics.auc)}, accuracy of "
        f"same/different {percent(metrics.accuracy)} on {metrics.pairs} pairs"
    )


def _decision(decision: Decision, calibration: Reliability) -> Lines:
    """The threshold, and how good probabilities are."""
    at = "EER" if decision.at == "eer" else f"FAR {percent(decision.asked)}"
    spread = bracket(decision.intervals.threshold if decision.intervals else None)
    rates = f"{percent(decision.far)}, false rejects {percent(decision.frr)}"
    if held := decision.held_out:
        rates += f", held out {percent(held.far)} and {percent(held.frr)}"
    lines = [("threshold", f"{decision.threshold:.4f}{spread} at {at}: false accepts {rates}")]
    if calibration.ece is not None:
        text = (
            f"{calibration.kind}: Brier {calibration.brier:.4f}, log loss "
            f"{calibration.log_loss:.4f}, ECE {calibration.ece:.4f} (held out by "
            f"{calibration.folded_by})"
        )
        lines.append(("calibration", text))
    return lines


def _protocols(result: Result) -> Lines:
    """Accuracy over folds, retrieval and 1:N identification, each where there is one."""
    lines = []
    if folds := result.folds:
        whose = "shuffled" if folds.shuffled else "of the set"
        mean, error = percent(folds.accuracy), percent(folds.standard_error)
        lines.append(("folds", f"accuracy {mean} +- {error} over {folds.folds} ({whose})"))
    if retrieval := result.retrieval:
        recall = ", ".join(f"@{k} {percent(v)}" for k, v in retrieval.recall_at.items())
        lines.append(("retrieval", f"recall{recall}, mAP@R {percent(retrieval.map_at_r)}"))
    if known := result.identification:
        ranks = ", ".join(f"rank-{k} {percent(v)}" for k, v in known.cmc.items())
        text = (
            f"accuracy {percent(known.accuracy)} (threshold fitted on the same {known.probes} "
            f"probes), {ranks or 'no rank'}"
        )
        lines.append(("1:N", text))
    return lines


def _answers(answers: Answers) -> str:
    texts = {
        "accuracy": percent(answers.accuracy),
        "EER": percent(answers.eer),
        "combined": decimal(answers.combined),
    }
    parts = [f"{name} {text}" for name, text in texts.items() if text != "-"]
    return ", ".join(parts) + " (held back until now)"


def submitted(result: dict) -> str:
    """What was checked, and what Kaggle said."""
    match = f"; columns and ids match {result['sample']}" if result["sample"] else ""
    lines = [f"{result['csv']}: {result['rows']:,} rows{match}"]
    lines += [f"warning: {text}" for text in result["warnings"]]
    if "ref" not in result:
        return "\n".join([*lines, "dry run: nothing was sent"])
    lines.append(f"{result['competition']}: taken (ref {result['ref']})")
    if result["status"] == "complete":
        public, private = result["public"], result["private"]
        more = "" if private is None else f", private score {private:g}"
        lines.append(f"public score {'none shown' if public is None else f'{public:g}'}{more}")
    else:
        lines.append("no score yet: python submit.py status")
    return "\n".join(lines)


def listed(result: dict) -> str:
    """Kaggle's list, newest first, its reasons below."""
    if not result["submissions"]:
        return f"{result['competition']}: no submission"
    rows = [
        (
            str(s["ref"]),
            s["date"][:16],
            s["run"] or "-",
            s["file"],
            s["status"],
            decimal(s["public"], 5),
            decimal(s["private"], 5),
        )
        for s in result["submissions"]
    ]
    errors = [f"ref {s['ref']}: {s['error']}" for s in result["submissions"] if s["error"]]
    header = ("ref", "date", "run", "file", "status", "public", "private")
    return "\n".join([columns([header, *rows]), *errors])


def allowance(result: dict) -> str:
    """What is left."""
    return f"{result['competition']}: {result['text']}"


def best_score(result: dict) -> str:
    """The best score and what it is of."""
    local = (result.get("local") or {}).get("combined")
    of = f", of run {result['run']}" if result.get("run") else ", of a file the ledger lacks"
    mine = "" if local is None else f" (local combined {local:.4f})"
    return f"public score {result['public']:g}{of}{mine}: {result['file']}, ref {result['ref']}"


def ledger(result: dict) -> str:
    """A line per submission, then correlation and gap of each competition."""
    if not result["entries"]:
        return f"{result['ledger']}: nothing was submitted yet"
    metric_of = {
        slug: compared[0]["metric"] for slug, compared in result["trust"].items() if compared
    }
    rows = [("time", "run", "commit", "local", "95 %", "public", "private", "status")]
    for entry in result["entries"]:
        metric, local = metric_of.get(entry["competition"], "combined"), entry.get("local") or {}
        rows.append(
            (
                entry["time"][:16],
                entry.get("run") or entry["file"],
                (entry.get("commit") or "-")[:8],
                decimal(local.get(metric)),
                "-".join(decimal(end) for end in local.get(f"{metric}_interval") or ()) or "-",
                decimal(entry["public"], 5),
                decimal(entry["private"], 5),
                entry["status"],
            )
        )
    lines = [columns(rows)]
    for slug, compared in result["trust"].items():
        lines += ["", slug] if len(result["trust"]) > 1 else [""]
        lines += [trust_line(one) for one in compared] or ["no score beside a local metric yet"]
    return "\n".join(lines)


def trust_line(trust: dict) -> str:
    """Correlation with its interval, gap with its deviation, and what follows."""
    n = len(trust["points"])
    head = f"local {trust['metric']} against {trust['score']} score, {n} submissions: "
    spread = "" if trust["gap_deviation"] is None else f" (deviation {trust['gap_deviation']:.4f})"
    gap = f"gap {trust['gap']:+.4f}{spread}"
    if trust["correlation"] is None:
        why = "needs three" if n < 3 else "undefined, one side does not vary"
        return f"{head}correlation {why}, {gap}"
    interval = trust["interval"]
    if interval and interval[0] > 0.5:
        verdict = "validation can be trusted"
    elif interval and interval[1] < 0.5:
        verdict = "do not choose by validation"
    else:
        verdict = "too few submissions to tell whether validation can be trusted"
    return f"{head}correlation {trust['correlation']:.2f}{bracket(interval, 2)}, {gap}: {verdict}"


def packed(result: dict) -> str:
    """Where the hand-in lies."""
    return (
        f"{result['zip']}: {result['files']} files, {result['bytes'] / 1024:.0f} KiB, "
        f"{result['trainable_parameters']:,} trainable parameters; fill in the TODOs of its README"
    )
