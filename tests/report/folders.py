"""Run folders as a stage and verify leave them, made of drawn numbers, and a page read back."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np

RECIPE = """\
name: {name}
data: {{image_size: 16}}
model: {{backbone: resnet10_small}}
rules: {{max_parameters: 1000}}
stages:
  classify: {{epochs: 3, monitor: combined, optimizer: {{lr: 0.1}}}}
  finetune: {{epochs: 2, monitor: combined, optimizer: {{lr: {lr}}}}}
"""
CLASSES = 6


def make_run(
    folder: Path,
    *,
    name: str = "made",
    lr: float = 0.01,
    seed: int = 0,
    pairs: int = 200,
    classes: list[str] | None = None,
) -> Path:
    """A finished run of two stages with everything that a report may show."""
    rng = np.random.default_rng(seed)
    names = np.array(classes or [f"person {k}" for k in range(CLASSES)])
    folder.mkdir(parents=True)
    (folder / "recipe.yaml").write_text(RECIPE.format(name=json.dumps(name), lr=lr))
    write(folder / "environment.json", {"device": "CPU", "commit": "0" * 40})
    write(folder / "best.json", {"stage": "finetune"})
    summary = {}
    for i, (stage, epochs) in enumerate((("classify", 3), ("finetune", 2))):
        place = folder / stage
        place.mkdir()
        rows = []
        for epoch in range(1, epochs + 1):
            both = {"step": 20 * epoch, "loss": 3 / epoch}
            terms = {"softmax": 2 / epoch, "triplet": 1 / epoch}
            rows.append({"kind": "interval", "lr": 0.1 / epoch} | both | terms)
            scores = {"accuracy": 0.5 + 0.1 * (epoch + i), "eer": 0.3 - 0.05 * (epoch + i)}
            scores |= {"auc": 0.8, "combined": 0.6, "images_per_second": 100.0, "data_wait": 0.02}
            rows.append({"kind": "epoch", "epoch": epoch} | both | scores)
        write_rows(place / "metrics.jsonl", rows)
        write(place / "stage.json", {"finished": True, "gate": f"took {stage}"})
        best = {"accuracy": 0.7 + 0.1 * i, "eer": 0.2 - 0.05 * i, "auc": 0.8, "monitor": 0.7}
        size = {"epochs": epochs, "seconds": 60.0, "images_per_second": 100.0, "parameters": 900}
        summary[stage] = size | best
        keep_scores(place / "shown" / "scores.npz", rng, pairs, 1 + i)
        keep_pictures(place / "shown", rng, names)
    write(folder / "summary.json", {"stages": summary, "best": "finetune"})
    keep_scores(folder / "verify" / "shown" / "val.npz", rng, pairs, 2.5)
    val = {"eer": 0.11, "impostor": pairs // 2, "intervals": {"eer": [0.08, 0.14]}}
    result = {"stage": "finetune", "weights": "0", "dev_accuracy": 0.8, "val": val}
    write(folder / "verify" / "result.json", result)
    rng = np.random.default_rng(seed)
    bins = [
        {"predicted": said, "observed": float(rng.binomial(20, said) / 20), "count": 20}
        for said in (0.06, 0.33, 0.62, 0.97)
    ]
    fitted = {"kind": "platt", "prior": 0.5, "bins": bins, "folded_by": "identity"}
    judged = {"brier": 0.1234, "log_loss": 0.4321, "ece": 0.0345}
    write(folder / "verify" / "calibration.json", fitted | judged)
    return folder


def keep_scores(path: Path, rng, pairs: int, apart: float) -> None:
    same_P = np.arange(pairs) % 2 == 0
    score_P = (0.1 * rng.standard_normal(pairs) + 0.1 * apart * same_P).astype(np.float32)
    left_P = rng.integers(0, 12, pairs)
    right_P = np.where(same_P, left_P, (left_P + rng.integers(1, 12, pairs)) % 12)
    save(path, score=score_P, same=same_P, identity=np.stack([left_P, right_P], axis=1))


def keep_pictures(place: Path, rng, names: np.ndarray) -> None:
    def images(count):
        return rng.integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)

    count = len(names)
    label_M = np.repeat(np.arange(count), 8)
    predicted_M = np.where(rng.random(len(label_M)) < 0.7, label_M, (label_M + 1) % count)
    train = {"train_label": label_M, "train_predicted": label_M}
    dev = {"dev_label": label_M, "dev_predicted": predicted_M}
    save(place / "classes.npz", classes=names, **dev, **train)
    said = {"label": names[[0] * 4], "predicted": names[[-1] * 4]}
    loss_M, name_M = np.array([4.0, 3, 2, 1]), np.array(["a.jpg"] * 4)
    save(place / "images.npz", image=images(4), loss=loss_M, name=name_M, **said)
    hardest = {}
    for kind in ("genuine", "impostor"):
        hardest |= {f"{kind}_a": images(3), f"{kind}_b": images(3)}
        hardest[f"{kind}_score"] = np.array([0.1, 0.2, 0.3])
        hardest[f"{kind}_name"] = np.array([["a", "b"]] * 3)
    save(place / "pairs.npz", **hardest)
    centre_KD = rng.standard_normal((count, 8))
    emb_MD = centre_KD[label_M] + 0.3 * rng.standard_normal((len(label_M), 8))
    save(place / "map.npz", emb=emb_MD.astype(np.float32), name=names[label_M])
    for step in (20, 40):
        save(place / f"angles-{step:08d}.npz", own=rng.integers(0, 9, 180))
    kinds = ("dev_own", "dev_other", "train_own", "between", "nearest")
    angles = {kind: rng.integers(0, 9, 180) for kind in kinds}
    save(place / "angles.npz", **angles, by=np.array("class weights"))
    save(place / "augmented.npz", before=images(6), seen=images(6), name=names[[0] * 6])


def write(path: Path, value: dict) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value))


def write_rows(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def save(path: Path, **arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


class Page(HTMLParser):
    """What a page holds: its tags, ids, text, and how many shapes each figure has."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags, self.ids, self.shapes, self.text = set(), [], {}, ""
        self._open, self._figure = [], None
        self.feed(self.source)
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        if tag not in ("meta", "br"):
            self._open.append(tag)
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "figure":
            self._figure = attributes["id"]
            self.shapes[self._figure] = 0
        elif tag in ("path", "use", "image") and self._figure:
            self.shapes[self._figure] += 1

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        if tag == "figure":
            self._figure = None

    def handle_data(self, data):
        self.text += data
