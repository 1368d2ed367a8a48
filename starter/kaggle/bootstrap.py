"""What runs on Kaggle: finds the kit, the data and an earlier output, trains, verifies.

`python -m starter.kaggle push` fills SETTINGS in and sends this file; the kit comes in a dataset.
It uses the standard library alone and writes status.json beside the run folder.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NoReturn

SETTINGS: dict = {}

INPUT = Path(SETTINGS.get("input", "/kaggle/input"))  # read-only
WORKING = Path(SETTINGS.get("working", "/kaggle/working"))  # what is kept
SCRATCH = Path(SETTINGS.get("scratch", "/tmp/kit"))  # code and cache, which are not
STOPPED_EARLY = 3  # train.py's exit code at train.max_hours


def main() -> None:
    kit = find_kit()
    install(kit)
    bring_back()
    recipe = kit / "recipe.yaml"
    changes = [f"runs={WORKING / 'runs'}", f"data.cache={SCRATCH / 'cache'}", *data_changes()]
    code = run(kit, train_command(recipe, changes))
    if code == 0:
        place = WORKING / "runs" / SETTINGS["name"]
        code = run(kit, [sys.executable, "verify.py", str(place), *sample_change(changes)])
    tell({0: "finished", STOPPED_EARLY: "stopped early"}.get(code, "failed"), code)
    if code not in (0, STOPPED_EARLY):  # an early stop is no failure: its output goes on
        raise SystemExit(code)


def find_kit() -> Path:
    """The kit that was pushed with this script, unpacked where it may be run."""
    places = [path.parent for path in INPUT.rglob("kit.sha256")]
    for archive in INPUT.rglob("kit*.zip"):  # Kaggle unpacks archives, mostly
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(SCRATCH / "unpacked" / archive.parent.name)
    places += [path.parent for path in (SCRATCH / "unpacked").rglob("kit.sha256")]
    for place in places:
        if digest(place) == SETTINGS["kit"]:
            shutil.copytree(place, SCRATCH / "code", dirs_exist_ok=True)
            return SCRATCH / "code"
    stop(
        f"no kit of this push under {INPUT} (kits: {[str(p) for p in places]}): the dataset was "
        "not ready in time; push again"
    )


def digest(place: Path) -> str:
    """sha256 over the names and contents of the files that kit.sha256 lists."""
    total = hashlib.sha256()
    for name in (place / "kit.sha256").read_text().splitlines():
        path = place / name
        total.update(name.encode() + b"\0" + (path.read_bytes() if path.is_file() else b"") + b"\0")
    return total.hexdigest()


def install(kit: Path) -> None:
    """Installs what Kaggle's image lacks, from attached wheels or over the internet."""
    lacking = [
        name
        for module, name in SETTINGS["needs"].items()
        if importlib.util.find_spec(module) is None
    ]
    if not lacking:
        return
    wheels = sorted({str(path.parent) for path in INPUT.rglob("*.whl")})
    pip = [sys.executable, "-m", "pip", "install", "-q", *lacking]
    if wheels:
        pip += ["--no-index", *(f"--find-links={place}" for place in wheels)]
    elif not SETTINGS["internet"]:
        stop(
            f"this image lacks {', '.join(lacking)} and the internet is off: push with --internet "
            "or attach a dataset of wheels with --attach USER/DATASET"
        )
    if run(kit, pip):
        stop(f"cannot install {', '.join(lacking)}")


def bring_back() -> None:
    """The run folder of an attached earlier output, to be continued."""
    target = WORKING / "runs" / SETTINGS["name"]
    if not SETTINGS["continue"] or target.exists():
        return
    earlier = [path.parent for path in INPUT.rglob(SETTINGS["run"])]
    if not earlier:
        stop(
            f"no earlier output with runs/{SETTINGS['name']} under {INPUT}: push without --continue"
        )
    shutil.copytree(earlier[0], target)
    print(f"continuing {earlier[0]}", flush=True)


def data_changes() -> list[str]:
    """data.root, and what the user gave, as changes of the recipe."""
    given = SETTINGS["changes"]
    if SETTINGS["demo"]:
        return [f"data.root={SCRATCH / 'data'}", *given]
    if any(change.startswith("data.root=") for change in given):
        return given
    places = []
    for source in SETTINGS["sources"]:
        slug = source.rsplit("/", 1)[-1]
        places += [INPUT / "competitions" / slug, INPUT / slug, INPUT / "datasets" / source]
    for place in places:
        if place.is_dir():
            return [f"data.root={place}", *given]
    mounted = sorted(str(path) for path in INPUT.glob("*")) if INPUT.is_dir() else []
    stop(
        f"no data at {', '.join(map(str, places)) or 'any place'}; mounted: {mounted}: give "
        "data.root=/kaggle/input/... behind push RECIPE"
    )


def sample_change(changes: list[str]) -> list[str]:
    """submission.sample where it is mounted, if it is not under data.root."""
    sample = SETTINGS["sample"]
    root = next(change.split("=", 1)[1] for change in changes if change.startswith("data.root="))
    if not sample or (Path(root) / sample).is_file():
        return []
    samples = sorted(INPUT.rglob(Path(sample).name))
    return [f"submission.sample={samples[0]}"] if samples else []


def train_command(recipe: Path, changes: list[str]) -> list[str]:
    """train.py, through torchrun where there is more than one process."""
    python = [sys.executable]
    if SETTINGS["processes"] > 1:
        python += [
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={SETTINGS['processes']}",
        ]
    return [*python, "train.py", str(recipe), *changes]


def run(kit: Path, command: list[str]) -> int:
    print("$", *command, flush=True)
    # torchrun answers 1 whatever train.py answers, which therefore notes its code
    note = SCRATCH / "exit_code"
    note.unlink(missing_ok=True)
    environment = os.environ | {
        "HF_HUB_OFFLINE": "0" if SETTINGS["internet"] else "1",
        "STARTER_EXIT_CODE_FILE": str(note),
    }
    code = subprocess.run(command, cwd=kit, env=environment).returncode
    return int(note.read_text()) if code and note.is_file() else code


def tell(state: str, code: int) -> None:
    record = {"state": state, "code": code, **{key: SETTINGS[key] for key in ("name", "commit")}}
    (WORKING / "status.json").write_text(json.dumps(record))


def stop(why: str) -> NoReturn:
    WORKING.mkdir(parents=True, exist_ok=True)
    tell(f"failed: {why}", 1)
    raise SystemExit(f"error: {why}")


if __name__ == "__main__":
    main()
