"""What verify.py measured and made, in words."""

from pathlib import Path

from starter.cli.words import percent
from starter.runs.result import (
    Answers,
    Decision,
    Fusion,
    PairAnswer,
    PairMetrics,
    Reliability,
    Result,
)

Lines = list[tuple[str, str]]  # what a line is of, and its text


def pair(answer: PairAnswer) -> str:
    """Two pictures, in a line."""
    word = "same" if answer.same else "different"
    return (
        f"{word}: score {answer.score:.4f}, threshold {answer.threshold:.4f}, probability of the "
        f"same {percent(answer.probability)}"
    )


def block(result: Result, report: Path | None) -> str:
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
        lines.append(("submission", "none: the data has nothing to predict"))
    else:
        checked = f", checked against {submission.sample}" if submission.sample else ""
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
    interval = (metrics.intervals or {}).get("eer")
    spread = f" [{100 * interval[0]:.2f}, {100 * interval[1]:.2f}]" if interval else ""
    return (
        f"EER {percent(metrics.eer)}{spread}, AUC {percent(metrics.auc)}, accuracy of "
        f"same/different {percent(metrics.accuracy)} on {metrics.pairs} pairs"
    )


def _decision(decision: Decision, calibration: Reliability) -> Lines:
    """The threshold, and how good probabilities are."""
    at = "EER" if decision.at == "eer" else f"FAR {percent(decision.asked)}"
    spread, held = "", decision.held_out
    if decision.intervals:
        low, high = decision.intervals.threshold
        spread = f" [{low:.4f}, {high:.4f}]"
    rates = f"{percent(decision.far)}, false rejects {percent(decision.frr)}"
    if held:
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
    parts = []
    if answers.accuracy is not None:
        parts.append(f"accuracy {percent(answers.accuracy)}")
    if answers.eer is not None:
        parts.append(f"EER {percent(answers.eer)}")
    if answers.combined is not None:
        parts.append(f"combined {answers.combined:.4f}")
    return ", ".join(parts) + " (held back until now)"
