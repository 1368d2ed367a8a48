"""Records as training writes them, for tests that train nothing."""

from pathlib import Path

from starter.recipe import load
from starter.runs.records import Contract, Meta

ROOT = Path(__file__).resolve().parent.parent.parent
HALF = (0.5, 0.5, 0.5)


def meta(stage: str = "classify", step: int = 1, weights: str = "") -> Meta:
    return Meta(
        stage=stage,
        step=step,
        images=step,
        seconds=1.0,
        metrics={"accuracy": 0.5, "eer": None},
        recipe=load(ROOT / "configs" / "demo.yaml"),
        classes=("a", "b"),
        preprocessing=Contract(image_size=32, channels=3, mean=HALF, std=HALF, colour="RGB"),
        precision="fp32",
        terms={},
        parent=None,
        weights_sha256=weights,
    )
