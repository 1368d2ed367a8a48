"""From a study's rows to its table: mean, standard error, difference from the baseline.

Shapes: S seeds, P validation pairs, M dev images.
"""

import csv
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from starter.study.measure import DISTORTED, Row
from starter.study.plan import HIGHER_IS_BETTER, Study

RESAMPLES = 1000


@dataclass(frozen=True)
class Pairs:
    """The validation pairs that every run of the study scored: same_P bool, identity_P2 or None."""

    same_P: np.ndarray
    identity_P2: np.ndarray | None


@dataclass(frozen=True)
class Line:
    """One variant over its seeds. mean, error: metric -> fraction; error is the standard error of
    the mean over seeds, None for one seed. difference: (value, low, high) of the study's metric
    from the baseline's; low and high are the paired 95 % bootstrap interval over pairs or images,
    None where predictions of the last epoch were not kept."""

    variant: str
    seeds: int
    mean: dict[str, float]
    error: dict[str, float | None]
    seconds: float
    epochs_to_target: float | None
    difference: tuple[float, float | None, float | None] | None


def summarise(study: Study, rows: Sequence[Row], pairs: Pairs | None) -> list[Line]:
    """A line per variant, the best by the study's metric first."""
    by_variant: dict[str, list[Row]] = {}
    for row in rows:
        by_variant.setdefault(row.run.cell.variant, []).append(row)
    base = by_variant.get(study.baseline or "", [])
    lines = [_line(study, name, group, base, pairs) for name, group in by_variant.items()]
    return sorted(
        lines, key=lambda line: line.mean[study.metric], reverse=HIGHER_IS_BETTER[study.metric]
    )


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """The mean and its standard error, sd / sqrt(n) with n - 1 degrees of freedom."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None
    return mean, float(np.std(values, ddof=1) / math.sqrt(len(values)))


def _line(study: Study, name: str, rows: list[Row], base: list[Row], pairs: Pairs | None) -> Line:
    mean, error = {}, {}
    for metric in rows[0].value:
        values = [v for row in rows if (v := row.value[metric]) is not None]
        if len(values) == len(rows):
            mean[metric], error[metric] = mean_and_error(values)
    reached = [row.epochs_to_target for row in rows]
    known = [epochs for epochs in reached if epochs is not None]
    return Line(
        variant=name,
        seeds=len(rows),
        mean=mean,
        error=error,
        seconds=float(np.mean([row.seconds for row in rows])),
        epochs_to_target=float(np.mean(known)) if len(known) == len(reached) else None,
        difference=_difference(study, rows, base, pairs)
        if base and name != study.baseline
        else None,
    )


def _difference(
    study: Study, rows: list[Row], base: list[Row], pairs: Pairs | None
) -> tuple[float, float | None, float | None] | None:
    """Over the seeds that both have, each seed against the same seed of the baseline."""
    theirs = {row.run.seed: row for row in base}
    both = [(row, theirs[row.run.seed]) for row in rows if row.run.seed in theirs]
    if not both:
        return None
    change = [float(a.value[study.metric]) - float(b.value[study.metric]) for a, b in both]  # type: ignore[arg-type]
    value = float(np.mean(change))
    own, base_rows = [a for a, _ in both], [b for _, b in both]
    if study.metric in ("eer", "auc") and pairs is not None:
        from starter.metrics import compare

        base_SP, own_SP = _stacked(base_rows, "score_P"), _stacked(own, "score_P")
        if base_SP is not None and own_SP is not None:
            found = compare(
                base_SP, own_SP, pairs.same_P, identity_P2=pairs.identity_P2, resamples=RESAMPLES
            )[study.metric]
            return value, found["low"], found["high"]
    if study.metric == "accuracy":
        from starter.stages.judge import paired_interval

        base_SM, own_SM = _stacked(base_rows, "correct_M"), _stacked(own, "correct_M")
        if base_SM is not None and own_SM is not None:
            return value, *paired_interval(own_SM.mean(0), base_SM.mean(0), 0)
    return value, None, None


def _stacked(rows: Sequence[Row], name: str) -> np.ndarray | None:
    """An array of every row, seeds first; None where a row has none."""
    arrays = [getattr(row, name) for row in rows]
    return None if any(array is None for array in arrays) else np.stack(arrays)


def write(study: Study, rows: Sequence[Row], lines: Sequence[Line], folder: Path) -> str:
    """rows.csv, table.csv, table.md and study.json into the study's folder; the table as text."""
    factors = list(study.grid)
    metrics = list(rows[0].value)
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["variant", *factors, "seed", "run", "seconds", "epochs_to_target", *metrics])
        for row in rows:
            cell, reached = row.run.cell, row.epochs_to_target
            values = ("" if row.value[m] is None else row.value[m] for m in metrics)
            out.writerow(
                [
                    cell.variant,
                    *(cell.factors[f] for f in factors),
                    row.run.seed,
                    row.run.folder.as_posix(),
                    f"{row.seconds:.1f}",
                    "" if reached is None else reached,
                    *values,
                ]
            )
    table = as_cells(study, lines, bold=lambda text: f"**{text}**")
    with (folder / "table.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(as_cells(study, lines))
    head, *body = (f"| {' | '.join(cells)} |" for cells in table)
    text = "\n".join([head, "|" + "---|" * len(table[0]), *body])
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")
    described = {
        "name": study.name,
        "metric": study.metric,
        "target": study.target,
        "higher_is_better": HIGHER_IS_BETTER[study.metric],
        "stage": study.stage,
        "variants": [line.variant for line in lines],
        "factors": factors,
        "reported": {line.variant: study.reported.get(line.variant) for line in lines},
    }
    (folder / "study.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
    return text


def as_cells(
    study: Study, lines: Sequence[Line], bold: Callable[[str], str] = str
) -> list[tuple[str, ...]]:
    """The table as text, a head first; the best value of each metric goes through `bold`."""
    wanted = [study.metric, *study.columns, *([DISTORTED] if study.distorted else [])]
    metrics = [m for m in dict.fromkeys(wanted) if all(m in line.mean for line in lines)]
    best = {
        m: (max if HIGHER_IS_BETTER.get(m, True) else min)(line.mean[m] for line in lines)
        for m in metrics
    }
    compared = study.baseline is not None
    head = ["variant", "seeds", *(_title(m) for m in metrics)]
    head += [f"{_title(study.metric)} against {study.baseline}"] if compared else []
    head += ["seconds"]
    head += [f"epochs to {_percent(study.target)}"] if study.target is not None else []
    head += ["reported"] if study.reported else []
    table = [tuple(head)]
    for line in lines:
        cells = [line.variant, str(line.seeds)]
        for m in metrics:
            text = _percent(line.mean[m], line.error[m])
            cells.append(bold(text) if line.mean[m] == best[m] and len(lines) > 1 else text)
        cells += [_change(line)] if compared else []
        cells += [f"{line.seconds:.0f}"]
        if study.target is not None:
            reached = line.epochs_to_target
            cells.append("not by all" if reached is None else f"{reached:.1f}")
        if study.reported:
            known = study.reported.get(line.variant)
            cells.append("" if known is None else _percent(known))
        table.append(tuple(cells))
    return table


def _title(metric: str) -> str:
    names = {"eer": "EER", "auc": "AUC"}
    return names.get(metric, metric.replace("_", ", ")) + ", %"


def _percent(value: float | None, error: float | None = None) -> str:
    assert value is not None
    return f"{100 * value:.2f}" + ("" if error is None else f" ± {100 * error:.2f}")


def _change(line: Line) -> str:
    if line.difference is None:
        return ""
    value, low, high = line.difference
    interval = "" if low is None or high is None else f" [{100 * low:+.2f}, {100 * high:+.2f}]"
    return f"{100 * value:+.2f}{interval}"
