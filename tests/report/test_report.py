"""The page of a run folder, whole, harmed or empty."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from starter.errors import UserError
from starter.report import report
from starter.report.__main__ import draw, main
from starter.report.drawing import DARK, INK, PAPER, SERIES, SOFT, VARIABLES
from starter.report.read import open_run
from starter.report.words import summarise
from tests.conftest import ROOT
from tests.report.folders import Page, keep_scores, make_run, save, write, write_rows

LIVE = {"loss", "accuracy", "eer", "learning_rate", "throughput"}
LIVE |= {"angles-classify", "angles-finetune"}
OF_PAIRS = {"roc", "det", "scores", "hardest-genuine", "hardest-impostor"}
FIGURES = LIVE | OF_PAIRS | {"calibration", "confusion", "worst", "map", "angles"}
FIGURES |= {"augmented-classify", "augmented-finetune"}
HARM = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run and its page."""
    classes = [HARM, "a&b", '"quoted"', "$x^2$", "a very long name of a class", ""]
    run = make_run(tmp_path_factory.mktemp("report") / "made", name=HARM, classes=classes)
    return run, Page(report(run))


@pytest.fixture
def harmed(whole, tmp_path):
    """A copy to harm: with its figures, so that only what a test changes is drawn anew."""
    shutil.copytree(whole[0], tmp_path / "run")
    return tmp_path / "run"


def test_every_figure_is_in_the_page_and_beside_it(whole):
    run, page = whole
    assert set(page.shapes) == FIGURES
    assert all(count > 10 for count in page.shapes.values()), page.shapes
    for slug in FIGURES:
        assert (run / "figures" / f"{slug}.svg").stat().st_size > 5000
        assert imread(run / "figures" / f"{slug}.png")[..., :3].std() > 0.02  # not of one colour
    assert len(page.ids) == len(set(page.ids))
    assert "Not in this report" not in page.text


def test_nothing_is_fetched(whole):
    source = whole[1].source
    assert "http" not in source and "//" not in re.sub(r"base64,[A-Za-z0-9+/=\s]+", "", source)
    assert not whole[1].tags & {"script", "link", "iframe", "object", "embed"}
    for name in re.findall(r"(?:src|href)=\"([^\"]*)\"", source):
        assert name.startswith(("#", "data:image/png;base64,"))
    for name in re.findall(r"url\(([^)]*)\)", source):
        assert name.startswith("#")


def test_every_reference_inside_the_page_is_there(whole):
    source, ids = whole[1].source, set(whole[1].ids)
    used = re.findall(r'href="#([^"]+)"', source) + re.findall(r"url\(#([^)]+)\)", source)
    assert used and set(used) <= ids


def test_names_and_labels_are_escaped(whole):
    source = whole[1].source
    assert "<script" not in source and HARM in whole[1].text
    assert "&lt;script&gt;" in source


def test_every_colour_is_a_variable_with_a_value_for_black(whole):
    drawing = re.sub(r"<style>.*?</style>", "", whole[1].source, flags=re.S)
    left = set(re.findall(r"(?:fill|stroke): ?(#[0-9a-f]{6})", drawing))
    assert not left
    assert set(DARK) == set(VARIABLES)


def run_python(code):
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)


def luminance(colour):
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    value = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(value @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("dark", [False, True])
def test_colours_are_readable_on_their_paper(dark):
    """Contrast by WCAG 2: 4.5 for text, 3 for lines."""
    shown = {value: DARK[value] if dark else value for value in VARIABLES}
    paper = luminance(shown[PAPER])
    for value, needed in ((INK, 4.5), (SOFT, 4.5), *((tone, 3) for tone in SERIES)):
        high, low = sorted((luminance(shown[value]), paper), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= needed, shown[value]


def test_the_summary_says_what_was_reached(whole):
    text = whole[1].text
    assert "EER 11.00 % (95 % interval 8.00 to 14.00)" in text and "accuracy 80.00 %" in text
    assert "accuracy +10.00 points from classify to finetune" in text
    assert "90 % of the limit of 1,000" in text
    assert "2 min" in text  # 60 s + 60 s
    assert "knows its training images better" in text
    assert "100 impostor pairs cannot resolve a FAR below 0.01" in text
    assert "known to 6.0 points only" in text


def test_a_monitor_that_jumps_is_told(harmed):
    """Jumps on either side of what is worth telling."""
    for jump, is_told in ((0.04, True), (0.001, False)):
        rows = [
            {"kind": "epoch", "step": 10 * e, "epoch": e, "combined": 0.8 + jump * (e % 2)}
            for e in range(1, 11)
        ]
        write_rows(harmed / "classify" / "metrics.jsonl", rows)
        notes = " ".join(summarise(open_run(harmed), None).notes)
        assert ("combined still moves by 4.0 points" in notes) is is_told


def test_a_second_drawing_draws_only_what_has_changed(harmed):
    times = {p.name: p.stat().st_mtime_ns for p in (harmed / "figures").glob("*.svg")}
    keep_scores(harmed / "verify" / "shown" / "val.npz", np.random.default_rng(9), 100, 3)
    page = Page(report(harmed))
    new = {p.name: p.stat().st_mtime_ns for p in (harmed / "figures").glob("*.svg")}
    drawn = {name for name in times if times[name] != new[name]}
    # Of verify's scores, and where a threshold of theirs may be told.
    assert drawn == {f"{slug}.svg" for slug in OF_PAIRS}
    assert set(page.shapes) == FIGURES


def test_a_running_stage_draws_its_curves_and_keeps_the_rest(harmed):
    shutil.rmtree(harmed / "figures")
    (harmed / "finetune" / "stage.json").write_text('{"finished": false}')
    page = Page(report(harmed, live=True))
    assert set(page.shapes) == LIVE
    assert "finetune stands at epoch 2 of 2" in page.text and "python train.py" in page.text
    assert set(Page(report(harmed)).shapes) == FIGURES
    assert set(Page(report(harmed, live=True)).shapes) == FIGURES


def test_a_drawing_that_was_cut_is_drawn_again(harmed):
    path = harmed / "figures" / "loss.svg"
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    (harmed / "figures" / "eer.png").unlink()
    assert set(Page(report(harmed)).shapes) == FIGURES
    assert path.read_text().endswith("</svg>\n") and (harmed / "figures" / "eer.png").exists()


def test_a_damaged_index_is_written_anew(harmed):
    (harmed / "figures" / "index.json").write_text("[1")
    shutil.rmtree(harmed / "finetune" / "shown")
    assert "loss" in Page(report(harmed, live=True)).shapes
    assert "loss" in json.loads((harmed / "figures" / "index.json").read_text())


def scores_of(run):
    """Files of labelled scores: the stages' and verify's."""
    return [path for path in run.glob("*/shown/*.npz") if path.stem in ("scores", "val")]


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


SHOWN = ("scores", "classes", "images", "pairs", "map", "angles", "angles-00000020", "augmented")
FILES = [
    *("recipe.yaml", "environment.json", "best.json", "summary.json"),
    *("verify/result.json", "verify/calibration.json", "verify/shown/val.npz"),
    *("finetune/metrics.jsonl", "finetune/stage.json"),
    *(f"finetune/shown/{name}.npz" for name in SHOWN),
]


@pytest.mark.parametrize("content", [None, b"", b"{}", b"PK\x03\x04 cut", b"[1]"])
def test_a_damaged_file_costs_no_more_than_its_own_figures(whole, harmed, content):
    """All at once, and the page still comes, with what the first stage kept."""
    for name in FILES:
        remove(harmed / name)
        if content is not None:
            (harmed / name).write_bytes(content)
    page = Page(report(harmed))
    gone = {"augmented-finetune", "calibration"}
    gone |= {"angles-finetune"} if content is None else set()
    assert set(page.shapes) == FIGURES - gone
    assert "Not in this report" in page.text and "recipe.yaml" in page.text
    assert content is None or "finetune/shown/scores.npz" in page.text


def test_arrays_of_another_shape_are_told(harmed):
    wrong = {"dev_label": np.array([5, 9]), "dev_predicted": np.array([5, -9])}
    for place in (harmed / "classify" / "shown", harmed / "finetune" / "shown"):
        save(place / "scores.npz", score=np.zeros((3, 2)), same=np.zeros(4))
        save(place / "map.npz", emb=np.zeros((40, 3, 2)), name=np.zeros(4))
        save(place / "images.npz", image=np.zeros(5), loss=np.zeros(0))
        save(place / "classes.npz", classes=np.array(["a"]), **wrong)
    save(harmed / "verify" / "shown" / "val.npz", score=np.array(["a"]), same=np.zeros(1))
    page = Page(report(harmed))
    assert "loss" in page.shapes and not {"roc", "map", "worst"} & set(page.shapes)
    assert "do not fit together" in page.text and "cannot be drawn" in page.text


def test_a_metrics_file_with_rubbish_in_it(harmed):
    path = harmed / "finetune" / "metrics.jsonl"
    path.write_text(
        path.read_text() + '{"kind": "epoch", "step": 60, "loss": NaN, "eer": null}\n'
        '{"step": "x"}\n[]\n{"kind": "inter\n\x00\n'
    )
    page = Page(report(harmed))
    assert "4 lines cannot be read" in page.text and "loss" in page.shapes


@pytest.mark.parametrize("files", [(), ("recipe.yaml",), ("recipe.yaml", "classify/stage.json")])
def test_an_empty_run_gives_a_page(whole, tmp_path, files):
    run = tmp_path / "empty"
    run.mkdir()
    for name in files:
        (run / name).parent.mkdir(exist_ok=True)
        shutil.copy(whole[0] / name, run / name)
    page = Page(report(run))
    assert "Nothing trained yet." in page.text and not page.shapes


def test_no_labelled_pairs(harmed):
    for stage in ("classify", "finetune"):
        for name in ("scores", "pairs"):
            remove(harmed / stage / "shown" / f"{name}.npz")
    remove(harmed / "verify")
    assert set(Page(report(harmed)).shapes) == FIGURES - OF_PAIRS - {"calibration"}


def test_pairs_of_one_kind(harmed):
    for path in scores_of(harmed):
        save(path, score=np.linspace(0, 1, 9, dtype=np.float32), same=np.ones(9, bool))
    page = Page(report(harmed))
    assert not {"roc", "det", "scores"} & set(page.shapes)
    assert "9 of the same identity and 0 of different ones" in page.text


@pytest.mark.parametrize("impostor", [1, 2])
def test_almost_no_pairs_and_scores_that_are_all_the_same(harmed, impostor):
    for path in scores_of(harmed):
        same_P = np.arange(2 + impostor) < 2
        save(path, score=np.full(len(same_P), 0.5, np.float32), same=same_P)
    assert set(Page(report(harmed)).shapes) == FIGURES


def test_one_class(tmp_path):
    run = make_run(tmp_path / "one", classes=["alone"])
    for path in run.glob("*/shown/angles.npz"):
        save(path, dev_own=np.ones(180, int), train_own=np.ones(180, int), dev_other=np.zeros(180))
    page = Page(report(run))
    assert {"confusion", "angles"} <= set(page.shapes)
    assert "map" not in page.shapes  # eight images: fewer than say anything


def test_two_dimensions_are_drawn_as_they_are_and_grey_images_as_grey(harmed):
    rng = np.random.default_rng(0)
    place = harmed / "finetune" / "shown"
    save(place / "map.npz", emb=rng.standard_normal((300, 2)), name=np.array(["1", "2", "3"] * 100))
    grey = rng.integers(0, 256, (6, 16, 16, 1), dtype=np.uint8)
    save(place / "augmented.npz", before=grey, seen=grey, name=np.array(["a"] * 6))
    page = Page(report(harmed))
    assert "2-D embeddings as they are" in page.text
    assert "nothing augments them" in page.text
    pixels = imread(harmed / "figures" / "augmented-finetune.png")[..., :3]
    assert (np.ptp(pixels, axis=2) < 0.05).mean() > 0.99


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_a_million_pairs_take_less_than_twenty_seconds_and_a_gigabyte(harmed):
    """In a process of its own; its processor time, since other tests may hold the cores."""
    for path in scores_of(harmed):
        keep_scores(path, np.random.default_rng(1), 1_000_000, 2)
    code = (
        "import re, time\nfrom starter.report.__main__ import main\n"
        f"main([{harmed.as_posix()!r}])\n"
        # Not ru_maxrss: that of a child begins at its parent's peak.
        "peak = re.search(r'VmHWM:\\s*(\\d+) kB', open('/proc/self/status').read())[1]\n"
        "print(time.process_time(), int(peak) / 1024)\n"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    seconds, megabytes = map(float, done.stdout.split()[-2:])
    assert seconds < 20 and megabytes < 1024, (seconds, megabytes)
    page = Page(harmed / "report.html")
    assert set(page.shapes) == FIGURES and len(page.source) < 6_000_000


def test_the_same_run_gives_the_same_page(harmed, tmp_path):
    first = report(harmed).read_bytes()
    shutil.rmtree(harmed / "figures")
    assert report(harmed).read_bytes() == first


def test_several_runs_are_compared_on_the_same_pairs(whole, tmp_path):
    a, b = (make_run(tmp_path / name, name=name, lr=lr) for name, lr in (("a", 0.01), ("b", 0.5)))
    for run, apart in ((a, 0.5), (b, 4)):
        rng = np.random.default_rng(1)
        keep_scores(run / "verify" / "shown" / "val.npz", rng, 400, apart)
    pages = draw([a.as_posix(), b.as_posix()], (tmp_path / "out").as_posix())
    assert len(pages) == 3 and pages[2].endswith("out/report.html")
    page = Page(tmp_path / "out" / "report.html")
    assert set(page.shapes) == {"accuracy", "eer", "roc", "det"}
    assert "stages.finetune.optimizer.lr: 0.01 -> 0.5" in page.text
    assert re.search(r"b against a, on the same pairs: EER -\d+\.\d\d points.*: better", page.text)
    assert "http" not in page.source and len(page.ids) == len(set(page.ids))
    keep_scores(b / "verify" / "shown" / "val.npz", np.random.default_rng(1), 300, 4)
    draw([a.as_posix(), b.as_posix(), (whole[0]).as_posix()], (tmp_path / "out").as_posix())
    page = Page(tmp_path / "out" / "report.html")
    assert "measured on other pairs" in page.text and HARM in page.text
    assert "<script" not in page.source


def test_the_command_tells_what_is_wrong_in_a_line(whole, tmp_path, capsys):
    assert main([(tmp_path / "no").as_posix()]) == 2
    assert "is no run folder" in capsys.readouterr().err
    assert main([whole[0].parent.as_posix()]) == 2
    assert "run folders in it" in capsys.readouterr().err
    assert main([whole[0].as_posix(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [(whole[0] / "report.html").as_posix()]
    with pytest.raises(UserError):
        report(tmp_path / "no")


def test_importing_the_room_imports_nothing_heavy():
    code = (
        "import sys, starter.report\n"
        "print([m for m in ('matplotlib', 'torch', 'sklearn', 'scipy') if m in sys.modules])"
    )
    done = run_python(code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_next_command_follows_what_is_there(harmed):
    assert "python -m starter.report" in Page(report(harmed)).text
    (harmed / "submission.csv").write_text("a\n")
    assert "--dry-run" in Page(report(harmed)).text
    remove(harmed / "verify")
    assert f"python verify.py {harmed}" in Page(report(harmed)).text
    write(harmed / "finetune" / "stage.json", {"finished": False})
    assert "python train.py" in Page(report(harmed)).text
