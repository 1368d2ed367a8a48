"""What a study found, in sentences and in a table."""

from starter.report.plots import short
from starter.report.study_read import Study, as_number, mean_error

LOWER = {"eer", "eer_step", "loss", "seconds", "epochs_to_target"}  # better when lower
CALLED = {
    "eer": "EER",
    "auc": "AUC",
    "epochs_to_target": "Epochs to the target",
    "seconds": "Training time",
}
UNITS = {"seconds": " s", "epochs_to_target": "", "loss": ""}  # no fractions, so no percent
MISSING = 5  # variants without a value that are named


def called(column: str) -> str:
    """A column's name as a reader knows it."""
    return CALLED.get(column, column[:1].upper() + column[1:].replace("_", " "))


def scale(column: str) -> tuple[float, str]:
    """What its values are multiplied by to be shown, and the unit they then have."""
    return (1, UNITS[column]) if column in UNITS else (100, " %")


def higher_is_better(study: Study, column: str) -> bool:
    return study.higher if column == study.metric else column not in LOWER


def under(study: Study) -> str:
    """The line under the title."""
    seeds = {row.get("seed") for row in study.rows}
    keys = f", varying {', '.join(study.keys)}" if study.keys else ""
    return (
        f"{len(study.rows)} runs of {len(study.variants)} variants, {len(seeds)} seeds{keys}; "
        f"by {called(study.metric)}, {'higher' if study.higher else 'lower'} is better"
    )


def sentences(study: Study) -> list[str]:
    """The best, what cannot be told from it, what was reported, and what is missing."""
    names = study.ranked(study.metric, study.higher)
    if not names:
        return [f"No run has a value of {study.metric} yet."]
    lines = [f"Best: {_valued(study, names[0])}.", _close(study, names), _reported(study, names)]
    missing = [name for name in study.variants if name not in names]
    if missing:
        more = f" and {len(missing) - MISSING} more" if len(missing) > MISSING else ""
        lines.append(f"Without a value: {', '.join(missing[:MISSING])}{more}.")
    return [line for line in lines if line]


def _valued(study: Study, name: str) -> str:
    factor, unit = scale(study.metric)
    value_S = factor * study.values(study.of(name), study.metric)
    mean, error = mean_error(value_S)
    if error is None:
        return f"{name}, {called(study.metric)} {mean:.2f}{unit} (one run: its spread is not known)"
    return f"{name}, {called(study.metric)} {mean:.2f}{unit} ± {error:.2f} ({len(value_S)} runs)"


def _close(study: Study, names: list[str]) -> str:
    """Variants nearer to the best than two standard errors of the difference."""
    found = {name: mean_error(study.values(study.of(name), study.metric)) for name in names}
    mean, error = found[names[0]]
    if error is None or len(names) < 2:
        return ""
    near = [
        name
        for name in names[1:]
        if (other := found[name][1]) is not None
        and abs(found[name][0] - mean) < 2 * (error**2 + other**2) ** 0.5
    ]
    if not near:
        return f"Next: {_valued(study, names[1])}, further off than two standard errors."
    return f"Within two standard errors of it, so not told apart by these runs: {', '.join(near)}."


def _reported(study: Study, names: list[str]) -> str:
    factor, unit = scale(study.metric)
    parts = []
    for name in names:
        if name in study.reported:
            mean = study.values(study.of(name), study.metric).mean()
            gap = factor * (mean - study.reported[name])
            parts.append(f"{name} {gap:+.2f} from {factor * study.reported[name]:.2f}{unit}")
    return f"Against what was reported: {'; '.join(parts)}." if parts else ""


def table_rows(study: Study) -> list[list[str]]:
    """A line a variant, the best first: mean ± standard error of every metric."""
    columns = [*study.metrics, "epochs_to_target", "seconds"]
    columns = [c for c in columns if any(as_number(row.get(c)) is not None for row in study.rows)]
    rows = [["variant", "runs", *(called(column) for column in columns)]]
    ranked = study.ranked(study.metric, study.higher)
    for name in [*ranked, *(other for other in study.variants if other not in ranked)]:
        runs = study.of(name)
        cells = (_cell(study.values(runs, column), column) for column in columns)
        rows.append([short(name, 60), str(len(runs)), *cells])
    return rows


def _cell(value_S, column: str) -> str:
    if not len(value_S):
        return "-"
    factor, unit = scale(column)
    mean, error = mean_error(factor * value_S)
    digits = 0 if column == "seconds" else 1 if column == "epochs_to_target" else 2
    spread = "" if error is None else f" ± {error:.{digits}f}"
    return f"{mean:.{digits}f}{spread}{unit}"
