"""The folder of a study: study.json, rows.csv, and the curves of the runs that these name.

Shapes: S seeds of a variant, E epochs.
"""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from starter.errors import UserError
from starter.files import read_json
from starter.report.read import Run, mapping, number

STUDY, ROWS = "study.json", "rows.csv"
MEASURED = ["epochs_to_target", "seconds"]  # of every run, beside its metrics
LOWER = {"eer", "eer_step", "loss", "log_loss", *MEASURED}  # better when lower
PERCENT = {"accuracy", "accuracy_distorted", "precision", "recall", "combined", "eer", "auc"}
CALLED = {"eer": "EER", "auc": "AUC", "epochs_to_target": "Epochs to the target"}
CALLED |= {"seconds": "Training time", "accuracy_distorted": "Accuracy, distorted"}


@dataclass
class Study:
    """Runs of the variants of one recipe.

    table: rows.csv, a row per run: variant, the varied keys (numbers where all are), seed, run,
    then numbers, NaN where absent: seconds, epochs_to_target and the metrics, mostly fractions.
    """

    path: Path
    name: str
    metric: str
    higher: bool  # is better
    target: float | None
    reported: dict[str, float]  # by others, of a variant
    baseline: str | None
    difference: dict[str, list]  # from the baseline: mean, low and high of the 95 % interval
    variants: list[str]
    keys: list[str]  # varied ones
    metrics: list[str]  # the study's own first
    table: pd.DataFrame
    problems: list[str] = field(default_factory=list)

    def values(self, column: str, variant: str) -> np.ndarray:
        """value_S float64: the numbers of a column in the rows of a variant."""
        return self.table[column][self.table["variant"] == variant].dropna().to_numpy()

    def statistics(self, column: str, by: str | list[str] = "variant") -> pd.DataFrame:
        """mean, its standard error (NaN for one run) and count, of what has a value; best first."""
        groups = self.table.groupby(by, sort=False)[column].agg(["mean", "sem", "count"])
        rising = not self.higher if column == self.metric else column in LOWER
        return groups[groups["count"] > 0].sort_values("mean", ascending=rising, kind="stable")

    @property
    def numeric(self) -> list[str]:
        """Varied keys with at least two values, all of them numbers."""
        numbers = self.table[self.keys].select_dtypes("number")
        return [key for key in numbers if numbers[key].nunique() > 1]

    @cached_property
    def runs(self) -> dict[str, list[Run]]:
        """variant -> its runs whose folders are there."""
        runs: dict[str, list[Run]] = {name: [] for name in self.variants}
        for variant, run in zip(self.table["variant"], self.table["run"], strict=True):
            places = [Path(run), self.path / run, self.path / Path(run).name]
            place = next((place for place in places if run and place.is_dir()), None)
            if place is None:
                self.problems.append(f"{variant}: its run {run or '(unnamed)'} is gone")
            else:
                runs[variant].append(Run(place))
        return runs

    def curves(self, variant: str) -> pd.DataFrame:
        """The metric of a variant's runs: a row an epoch that all have measured, a column a run."""
        columns = [run.over_epochs(self.metric)[:2] for run in self.runs[variant]]
        series = [pd.Series(values, epochs) for epochs, values in columns if epochs]
        return pd.concat(series, axis=1, join="inner") if series else pd.DataFrame()

    def sources(self) -> tuple[Path, ...]:
        """Files that the figures are drawn from."""
        runs = [run for runs in self.runs.values() for run in runs]
        logs = (stage.folder.metrics for run in runs for stage in run.stages)
        return (self.path / STUDY, self.path / ROWS, *logs)


def called(column: str) -> str:
    """A column's name as a reader knows it."""
    return CALLED.get(column, column[:1].upper() + column[1:].replace("_", " "))


def scale(column: str) -> tuple[float, str]:
    """What its values are multiplied by to be shown, and the unit they then have."""
    return (100, " %") if column in PERCENT else (1, " s" if column == "seconds" else "")


def is_study(folder: str | Path) -> bool:
    """Whether a folder is that of a study rather than of a run."""
    return any((Path(folder) / name).is_file() for name in (STUDY, ROWS))


def open_study(folder: str | Path) -> Study:
    """Reads the folder of a study.

    Raises:
        UserError: study.json or rows.csv is missing or damaged.
    """
    path = Path(folder)
    if not (path / STUDY).is_file():
        raise UserError(f"{path} is no study's folder: it has no {STUDY}")
    record = read_json(path / STUDY)
    metric = record.get("metric")
    if not isinstance(metric, str):
        raise UserError(f"{path / STUDY}: names no metric; run the study again")
    table = _read_table(path / ROWS)
    seed = list(table).index("seed")
    keys = [name for name in table.columns[:seed] if name != "variant"]
    after = [name for name in table.columns[seed + 1 :] if name != "run"]
    for name in keys + after:
        cells = table[name].replace("", None)  # empty where a variant has no such key
        numbers = pd.to_numeric(cells, errors="coerce").replace([np.inf, -np.inf], np.nan)
        if name in after or numbers.notna().sum() == cells.notna().sum():
            table[name] = numbers
    metrics = [name for name in after if name not in MEASURED]
    reported = mapping(record.get("reported"))
    return Study(
        path,
        str(record.get("name") or path.resolve().name),
        metric,
        bool(record.get("higher_is_better", True)),
        number(record, "target"),
        {name: v for name in reported if (v := number(reported, name)) is not None},
        record.get("baseline"),
        mapping(record.get("difference")),
        list(dict.fromkeys([*record.get("variants", ()), *table["variant"]])),
        keys,
        sorted(metrics, key=lambda name: name != metric),
        table,
    )


def _read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except FileNotFoundError:
        raise UserError(f"{path.parent} has no {ROWS}: no run of the study is finished") from None
    except pd.errors.EmptyDataError:
        table = pd.DataFrame()
    except ValueError as error:
        raise UserError(f"{path}: cannot be read ({error}); run the study again") from None
    if missing := {"variant", "seed", "run"} - set(table):
        raise UserError(f"{path}: needs the columns {', '.join(sorted(missing))} too")
    table = table.fillna("")
    return table[table["variant"] != ""].copy()
