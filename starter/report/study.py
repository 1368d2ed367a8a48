"""The folder of a study -> its page, its table, and every figure."""

from collections.abc import Callable
from functools import partial
from itertools import combinations
from pathlib import Path

from starter.report import study_figures
from starter.report.drawing import Figure, render, short, slug_of
from starter.report.page import write_page
from starter.report.study_read import MEASURED, Study, called, open_study, scale
from starter.runs.folder import RunFolder

CURVES = 40  # variants with a curve of their own
GRIDS = 3  # pairs of numeric keys
MISSING = 5  # variants without a value that are named


def draw_study(folder: str | Path) -> list[Path]:
    """Writes <folder>/report.html and <folder>/figures/ of a study.

    Args:
        folder: holds study.json and rows.csv, as Study describes them.
    Returns:
        The page, then every figure's PNG and SVG.
    Raises:
        UserError: study.json or rows.csv is missing or damaged.
        OSError: the page cannot be written.
    """
    study = open_study(folder)
    figures = render(study.path, figures_of(study), study.problems)
    varied = f", varying {', '.join(study.keys)}" if study.keys else ""
    counts = f"{len(study.table)} runs of {len(study.variants)} variants"
    better = f"{called(study.metric)}, {'higher' if study.higher else 'lower'} is better"
    page = write_page(
        study.path,
        "page.html",
        title=f"Study: {study.name}",
        subtitle=f"{counts}, {study.table['seed'].nunique()} seeds{varied}; by {better}",
        facts=sentences(study),
        rows=table_rows(study, study.metrics),
        figures=figures,
        problems=study.problems,
    )
    place = RunFolder(study.path).figures
    return [page, *(place / f"{one.slug}.{kind}" for one in figures for kind in ("png", "svg"))]


def figures_of(study: Study) -> list[Figure]:
    """Every figure that this study may have, in the order of the page."""
    logs = study.sources()
    table, figures = logs[:2], []

    def add(slug: str, section: str, title: str, sources, draw: Callable, *arguments) -> None:
        figures.append(Figure(slug, section, title, sources, partial(draw, study, *arguments)))

    for column in (*study.metrics, *MEASURED):
        slug, section = f"rank-{slug_of(column)}", "Which is best?"
        add(slug, section, called(column), table, study_figures.ranking, column)
    section = f"{called(study.metric)} over the varied keys"
    if len(study.numeric) == 1:
        (key,) = study.numeric
        add(f"over-{slug_of(key)}", section, short(key, 50), table, study_figures.over_key, key)
    for pair in list(combinations(study.numeric, 2))[:GRIDS]:
        title = " x ".join(short(key, 40) for key in pair)
        slug = f"grid-{slug_of('.'.join(pair))}"
        add(slug, section, title, table, study_figures.grid, *pair)
    section = "How they learned"
    add("curves", section, "The best, over each other", logs, study_figures.best_curves)
    for name in study.variants[:CURVES]:
        slug = f"curve-{slug_of(name)}"
        add(slug, section, short(name, 60), logs, study_figures.curve, name)
    return figures


def sentences(study: Study) -> list[str]:
    """The best, what cannot be told from it, what was reported, and what is missing."""
    ranked = study.statistics(study.metric)
    if ranked.empty:
        return [f"No run has a value of {study.metric} yet."]
    factor, unit = scale(study.metric)
    lines = [f"Best: {_valued(study, ranked.iloc[0])}."]
    best, others = ranked.iloc[0], ranked.iloc[1:]
    if len(others) and best["count"] > 1:
        error = (others["sem"] ** 2 + best["sem"] ** 2) ** 0.5
        near = others[(others["mean"] - best["mean"]).abs() < 2 * error]
        text = f"Next: {_valued(study, others.iloc[0])}, further off than two standard errors."
        if len(near):
            text = "Within two standard errors of it, so not told apart by these runs: "
            text += f"{', '.join(near.index)}."
        lines.append(text)
    reported = [
        f"{name} {factor * (ranked['mean'][name] - value):+.2f} from {factor * value:.2f}{unit}"
        for name in ranked.index
        if (value := study.reported.get(name)) is not None
    ]
    lines += [f"Against what was reported: {'; '.join(reported)}."] if reported else []
    missing = [name for name in study.variants if name not in ranked.index]
    if missing:
        more = f" and {len(missing) - MISSING} more" if len(missing) > MISSING else ""
        lines.append(f"Without a value: {', '.join(missing[:MISSING])}{more}.")
    return lines


def _valued(study: Study, row) -> str:
    """A variant with its mean and the error of that; row: of `statistics`."""
    factor, unit = scale(study.metric)
    text = f"{row.name}, {called(study.metric)} {factor * row['mean']:.2f}{unit}"
    if row["count"] == 1:
        return f"{text} (one run: its spread is not known)"
    return f"{text} ± {factor * row['sem']:.2f} ({row['count']:.0f} runs)"


def table_rows(study: Study, metrics: list[str], bold: Callable = str) -> list[list[str]]:
    """A head, then a line per variant, the best first: mean ± standard error of the metrics.

    bold: is given the best value of each metric.
    """
    statistics = {column: study.statistics(column) for column in (*metrics, "seconds")}
    statistics = {column: known for column, known in statistics.items() if len(known)}
    reached = study.statistics("epochs_to_target")
    head = ["variant", "seeds"]
    for column in statistics:
        head.append(called(column) + scale(column)[1].replace(" ", ", "))
        if column == study.metric and study.baseline is not None:
            head.append(f"against {study.baseline}")
    head += [f"epochs to {_shown(study, study.target)}"] if study.target is not None else []
    head += ["reported"] if study.reported else []
    rows = [head]
    ranked = study.statistics(study.metric).index
    for name in dict.fromkeys([*ranked, *study.variants]):
        seeds = int((study.table["variant"] == name).sum())
        row = [short(name, 60), str(seeds)]
        for column, known in statistics.items():
            text = _mean(known, name, column)
            best = column != "seconds" and len(known) > 1 and name == known.index[0]
            row.append(bold(text) if best else text)
            if column == study.metric and study.baseline is not None:
                row.append(_change(study, name))
        if study.target is not None:
            by_all = name in reached.index and reached["count"][name] == seeds
            row.append(f"{reached['mean'][name]:.1f}" if by_all else "not by all")
        row += [_shown(study, study.reported.get(name))] if study.reported else []
        rows.append(row)
    return rows


def _mean(known, name: str, column: str) -> str:
    if name not in known.index:
        return "-"
    factor, digits = scale(column)[0], 0 if column == "seconds" else 2
    mean, error = factor * known["mean"][name], factor * known["sem"][name]
    text = f"{mean:.{digits}f}"
    return text if known["count"][name] == 1 else f"{text} ± {error:.{digits}f}"


def _change(study: Study, name: str) -> str:
    """The difference from the baseline, with its interval where there is one."""
    if name not in study.difference:
        return ""
    values = [scale(study.metric)[0] * v for v in study.difference[name] if v is not None]
    mean, *interval = (f"{value:+.2f}" for value in values)
    return f"{mean} [{', '.join(interval)}]" if interval else mean


def _shown(study: Study, value: float | None) -> str:
    return "" if value is None else f"{scale(study.metric)[0] * value:.2f}"
