"""A study's figures against numbers written out by hand, and its folder harmed."""

import itertools
import json
import re

import numpy as np
import pandas as pd
import pytest

from starter.errors import UserError
from starter.report import study_figures
from starter.report.__main__ import main
from starter.report.study import draw_study
from starter.report.study_read import open_study
from tests.report.folders import Page
from tests.report.studies import make_study

HARM = '<script>alert("x")</script>'
GRID = {f"m2={a} m3={b}": {"margin": a, "additive": b} for a in (0.2, 0.5) for b in (0, 0.1, 0.3)}
LOSSES = {name: {"stages.classify.loss.0.kind": name} for name in ("softmax", "arcface", HARM)}


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "losses"
    return folder, make_study(folder, LOSSES, reported={"arcface": 0.45}), draw_study(folder)


def test_the_page_and_every_figure_are_written(losses):
    folder, _, paths = losses
    assert paths[0] == folder / "report.html"
    slugs = {path.stem for path in paths[1:]}
    assert {"rank-accuracy", "rank-seconds", "curves", "curve-arcface", "curve-softmax"} < slugs
    assert "rank-eer" not in slugs and len(slugs) == len(paths[1:]) // 2  # no value of it
    for path in paths[1:]:
        assert path.stat().st_size > 4000, path
    page = Page(paths[0])
    assert set(page.shapes) == slugs and all(count > 8 for count in page.shapes.values())
    assert HARM in page.text and "<script" not in page.source and "http" not in page.source
    assert "Not in this report" not in page.text


def test_the_ranking_shows_the_mean_and_its_standard_error_best_on_top(losses):
    folder, drawn, _ = losses
    figure, caption = study_figures.ranking(open_study(folder), "accuracy")
    (ax,) = figure.axes
    bars = [bar for bar in ax.containers if bar.has_xerr]
    last = {name: 100 * value_SE[:, -1] for name, value_SE in drawn.items()}
    order = sorted(last, key=lambda name: -sum(last[name]))
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        name if len(name) <= 22 else name[:21] + "…" for name in order
    ]
    for name, bar in zip(order, bars, strict=True):
        a, b, c = last[name].tolist()
        mean = (a + b + c) / 3
        error = (((a - mean) ** 2 + (b - mean) ** 2 + (c - mean) ** 2) / 2 / 3) ** 0.5
        assert bar.lines[0].get_xdata()[0] == pytest.approx(mean)
        ((low, _), (high, _)) = bar.lines[2][0].get_segments()[0]
        assert (low, high) == pytest.approx((mean - error, mean + error))
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first is on top
    assert "what was reported" in caption and "target, 40.00 %" in caption


def test_a_lower_metric_ranks_the_lowest_first(tmp_path):
    drawn = make_study(tmp_path / "s", LOSSES, metric="eer")
    ranked = open_study(tmp_path / "s").statistics("eer").index.tolist()
    assert ranked == sorted(drawn, key=lambda n: drawn[n][:, -1].mean())


def test_a_grid_of_two_keys_holds_every_mean(tmp_path):
    drawn = make_study(tmp_path / "s", GRID)
    figure, caption = study_figures.grid(open_study(tmp_path / "s"), "margin", "additive")
    (ax,) = figure.axes
    shown = {text.get_position(): text.get_text() for text in ax.texts}
    mean = {}
    for (i, a), (j, b) in itertools.product(enumerate((0.2, 0.5)), enumerate((0, 0.1, 0.3))):
        value_S = 100 * drawn[f"m2={a} m3={b}"][:, -1]
        mean[a, b] = value_S.mean()
        assert shown[j, i] == f"{mean[a, b]:.2f}\n±{value_S.std(ddof=1) / 3**0.5:.2f}"
    a, b = max(mean, key=mean.get)
    assert f"Framed: the best, margin {a:g} and additive {b:g}" in caption
    framed = [cell for cell in ax.patches if cell.get_edgecolor()[3] > 0]
    assert len(framed) == 1 and len(ax.patches) == 6
    corners = [(round(c.get_x() + 0.48), round(c.get_y() + 0.48)) for c in ax.patches]
    alpha = {at: c.get_facecolor()[3] for at, c in zip(corners, ax.patches, strict=True)}
    order = sorted(mean, key=mean.get)
    places = [((0, 0.1, 0.3).index(b), (0.2, 0.5).index(a)) for a, b in order]
    assert [alpha[place] for place in places] == sorted(alpha.values())
    slugs = {path.stem.split("-")[0] for path in draw_study(tmp_path / "s")[1:]}
    assert "grid" in slugs and "over" not in slugs


def test_a_cell_without_runs_stays_empty(tmp_path):
    make_study(tmp_path / "s", {k: v for k, v in list(GRID.items())[:-1]})
    figure, _ = study_figures.grid(open_study(tmp_path / "s"), "margin", "additive")
    (ax,) = figure.axes
    assert {t.get_position(): t.get_text() for t in ax.texts}[2, 1] == "-" and len(ax.patches) == 5


def test_one_numeric_key_is_an_axis(tmp_path):
    drawn = make_study(tmp_path / "s", {f"lr={v}": {"lr": v} for v in (0.1, 0.001, 0.01)})
    figure, _ = study_figures.over_key(open_study(tmp_path / "s"), "lr")
    (ax,) = figure.axes
    line = ax.containers[0].lines[0]
    assert list(line.get_xdata()) == [0.001, 0.01, 0.1] and ax.get_xscale() == "log"
    expected = [100 * drawn[f"lr={v}"][:, -1].mean() for v in (0.001, 0.01, 0.1)]
    assert list(line.get_ydata()) == pytest.approx(expected)


def test_a_curve_is_the_mean_over_seeds_of_stages_one_after_the_other(losses):
    folder, drawn, _ = losses
    study = open_study(folder)
    for name in ("softmax", "arcface"):
        curves = study.curves(name)
        assert curves.index.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
        np.testing.assert_array_equal(curves.to_numpy().T, drawn[name])
        figure, _ = study_figures.curve(study, name)
        line = next(x for x in figure.axes[0].lines if x.get_linewidth() == 1.8)
        np.testing.assert_allclose(line.get_ydata(), 100 * drawn[name].mean(0))


def test_seeds_of_different_lengths_are_averaged_where_all_were_measured(losses, tmp_path):
    make_study(tmp_path / "s", {"a": {}})
    path = tmp_path / "s" / "runs" / "v0-1" / "aa" / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    curves = open_study(tmp_path / "s").curves("a")
    assert curves.index.tolist() == [1, 2, 3, 4, 5, 6] and curves.shape == (6, 3)


def test_the_words_say_what_can_be_told_apart(tmp_path):
    (tmp_path / "s").mkdir()
    values = {"a": (0.90, 0.91, 0.92), "b": (0.905, 0.91, 0.90), "c": (0.5, 0.51, 0.52), "d": ("",)}
    same = {"run": "", "seconds": 1, "epochs_to_target": ""}
    rows = [
        {"variant": name, "seed": seed, **same, "accuracy": value}
        for name, of_name in values.items()
        for seed, value in enumerate(of_name)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "s" / "rows.csv", index=False)
    told = {"name": "s", "metric": "accuracy", "reported": {"a": 0.93, "b": None}}
    (tmp_path / "s" / "study.json").write_text(json.dumps(told))
    text = Page(draw_study(tmp_path / "s")[0]).text
    assert "Best: a, Accuracy 91.00 % ± 0.58 (3 runs)" in text
    assert "not told apart by these runs: b." in text
    assert "a -2.00 from 93.00 %" in text and "Without a value: d." in text
    assert re.search(r"a391.00 ± 0.58.*b390.50 ± 0.29.*c351.00 ± 0.58", text, re.S)
    assert "is gone" in text  # no run has a folder


def test_one_seed_has_no_spread(tmp_path):
    make_study(tmp_path / "s", LOSSES, seeds=1)
    assert "its spread is not known" in Page(draw_study(tmp_path / "s")[0]).text


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("study.json", None, "no study's folder"),
        ("study.json", "{", "damaged"),
        ("study.json", "[]", "damaged"),
        ("study.json", "{}", "names no metric"),
        ("rows.csv", None, "no run of the study"),
        ("rows.csv", "a,b\n1,2\n", "needs the columns"),
        ("rows.csv", "", "needs the columns"),
    ],
)
def test_a_damaged_folder_is_told_in_a_line(tmp_path, capsys, name, content, why):
    make_study(tmp_path / "s", {"a": {}}, seeds=1)
    path = tmp_path / "s" / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=why):
        draw_study(tmp_path / "s")
    assert main([(tmp_path / "s").as_posix()]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_cells_that_are_no_numbers_and_rows_cut_short(tmp_path):
    make_study(tmp_path / "s", LOSSES)
    path = tmp_path / "s" / "rows.csv"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].rsplit(",", 3)[0] + ",nan,x,"
    path.write_text("\n".join([*lines, "softmax,softmax", ",,,", ""]))
    study = open_study(tmp_path / "s")
    assert len(study.values("accuracy", variant="softmax")) == 2
    assert Page(draw_study(tmp_path / "s")[0]).shapes


def test_the_command_knows_a_study_by_its_folder(losses, capsys):
    assert main([losses[0].as_posix()]) == 0
    assert capsys.readouterr().out.strip() == (losses[0] / "report.html").as_posix()
