"""The page in a real browser, opened from disk: no error, no request, nothing cut off."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from starter.report import report
from tests.report.folders import make_run

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--enable-logging=stderr", "--v=0"),
)
# What the page's own drawing tells: how wide it is, and the size of each figure.
PROBE = """<script>
addEventListener("load", () => {
  const box = e => { const b = e.getBoundingClientRect(); return [b.left, b.right, b.height]; };
  const figures = [...document.querySelectorAll("figure svg")].map(e => [e.closest("figure").id,
    ...box(e)].join(","));
  const fetched = performance.getEntriesByType("resource").map(e => e.name)
    .filter(name => !name.startsWith("data:"));
  document.body.setAttribute("data-probe", JSON.stringify({wide: document.documentElement
    .scrollWidth, window: innerWidth, figures, fetched,
    paper: getComputedStyle(document.body).backgroundColor}));
});
</script>"""


@pytest.fixture(scope="module")
def browser():
    found = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed (or set CHROME)")
    answer = subprocess.run([found, "--version"], capture_output=True, text=True)
    if answer.returncode:  # a stand-in that asks for a snap, say
        pytest.skip(f"{found} does not start: {answer.stderr.strip()[:200]}")
    return found


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    run = make_run(tmp_path_factory.mktemp("browser") / "made", classes=["<b>", "a", "b" * 40])
    return report(run)


def open_page(browser, page: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess:
    flags = (*FLAGS, f"--user-data-dir={folder / 'profile'}", *flags)
    command = [browser, *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_the_page_opens_whole(browser, page, tmp_path, width, dark):
    probed = tmp_path / "report.html"
    probed.write_text(page.read_text().replace("</body>", PROBE + "</body>"))
    # Chromium takes no window narrower than 500 pixels, so a phone is a frame of its width.
    if width < 500:
        frame = tmp_path / "frame.html"
        copied = "document.body.dataset.probe = this.contentDocument.body.dataset.probe"
        style = f"width:{width}px;height:900px"
        frame.write_text(f'<iframe src="{probed.name}" style="{style}" onload="{copied}"></iframe>')
        probed = frame
    flags = [f"--window-size={max(width, 500)},1200", "--allow-file-access-from-files"]
    flags += ["--blink-settings=preferredColorScheme=0"] if dark else []
    done = open_page(browser, probed, tmp_path, "--virtual-time-budget=3000", "--dump-dom", *flags)
    assert done.returncode == 0, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.findall(r'data-probe="([^"]*)"', done.stdout)
    assert found, done.stdout[-2000:]
    probe = json.loads(html.unescape(found[-1]))
    assert probe["window"] == width
    assert probe["wide"] <= width, "the page scrolls sideways"
    assert probe["fetched"] == []
    assert probe["paper"] == ("rgb(22, 24, 28)" if dark else "rgb(254, 254, 254)")
    assert len(probe["figures"]) == 19
    for figure in probe["figures"]:
        slug, left, right, height = figure.split(",")
        assert float(left) >= 0 and float(right) <= width and float(height) > 40, slug


def test_the_page_is_painted(browser, page, tmp_path):
    from matplotlib.image import imread

    shot = tmp_path / "shot.png"
    done = open_page(browser, page, tmp_path, f"--screenshot={shot}", "--window-size=1280,3000")
    assert done.returncode == 0, done.stderr
    image = imread(shot)[..., :3]
    assert image.shape == (3000, 1280, 3)
    rows = image.reshape(10, 300, 1280, 3).std(axis=(1, 2, 3))
    assert (rows > 0.02).all() and np.isfinite(rows).all()  # something in every part of it
