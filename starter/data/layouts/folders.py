"""A folder per class, nested one or two deep (Omniglot, ORL, any ImageFolder)."""

import logging
from pathlib import Path

from starter.data.catalog import DEV, TEST, TRAIN, VERIFY, Catalog
from starter.data.layouts.disk import expand_root, find_named, find_usual, relative, scan, some
from starter.data.layouts.draft import Draft
from starter.errors import UserError
from starter.recipe.schema.data import DataSection, SplitsSection

log = logging.getLogger(__name__)

USUAL = {
    "train": ("train", "training"),
    "dev": ("dev", "val", "valid", "validation"),
    "test": ("test", "testing"),
}


def read(data: DataSection) -> Catalog:
    """Folders of classes as a catalog; classes and files in sorted order.

    Without a train folder the root itself holds the classes. Without a dev folder a share of each
    class is dev. A test folder without class folders is unlabelled. Pairs are made of the verify
    folder's identities, else of held-out classes where data.pairs is set.

    Raises:
        UserError: a split or a class without images, a dev class that is not trained on.
    """
    root = descend(expand_root(data.root), data.splits)
    parts = find_splits(root, data.splits)
    trained = read_classes(parts["train"], root)
    draft = Draft(root=root, identities=list(trained))
    number = {name: k for k, name in enumerate(trained)}
    _add(draft, TRAIN, trained, number)
    if "dev" in parts:
        found = read_classes(parts["dev"], root)
        refuse_strangers(found, number, parts["dev"])
        _add(draft, DEV, found, number)
    if "test" in parts:
        add_test(draft, parts["test"], root, number)
    if "verify" in parts:
        _add_verify(draft, read_classes(parts["verify"], root))
    return draft.finish(data)


def descend(root: Path, splits: SplitsSection) -> Path:
    """The only folder in root where that one holds folders itself: archives often add one."""
    listing = scan(root)
    if len(listing.folders) != 1 or listing.images:
        return root
    only = listing.folders[0]
    if only.lower() in USUAL["train"] or only in splits.model_dump().values():
        return root
    return root / only if scan(root / only).folders else root


def find_splits(root: Path, splits: SplitsSection) -> dict[str, Path]:
    """The folder of each split there is; root itself for train where no folder is named so."""
    named = {key: name for key, name in splits.model_dump().items() if name is not None}
    parts = {key: find_named(root, key, name) for key, name in named.items()}
    usual_train = parts.get("train") or find_usual(root, USUAL["train"])
    if usual_train is None:
        if parts:
            raise UserError(
                f"data.splits.train: not set, and {root} has no folder train; "
                f"it has {some(scan(root).folders)}"
            )
        return {"train": root}
    parts["train"] = usual_train
    for key in ("dev", "test"):
        found = parts.get(key) or find_usual(root, USUAL[key])
        if found is not None and found not in [parts[other] for other in parts if other != key]:
            parts[key] = found
    return parts


def read_classes(folder: Path, root: Path) -> dict[str, list[str]]:
    """Class -> its files relative to root; a class two deep is named "outer/inner".

    Raises:
        UserError: no class folders, a class without images, images beside folders of images.
    """
    listing = scan(folder)
    if not listing.folders:
        state = f"{len(listing.images)} images but no" if listing.images else "no images and no"
        raise UserError(f"{folder}: has {state} class folders; one folder per class is expected")
    if listing.images:
        log.warning(
            "%s: %d images beside the class folders are ignored", folder, len(listing.images)
        )
    found: dict[str, list[str]] = {}
    for name in listing.folders:
        inner = scan(folder / name)
        prefix = relative(folder / name, root)
        if inner.images:
            if any(scan(folder / name / deep).images for deep in inner.folders):
                raise UserError(f"{folder / name}: has images and folders of images; keep one")
            found[name] = [prefix + image for image in inner.images]
            continue
        for deep in inner.folders:
            images = scan(folder / name / deep).images
            if not images:
                raise UserError(_no_images(folder / name / deep))
            found[f"{name}/{deep}"] = [f"{prefix}{deep}/{image}" for image in images]
        if not inner.folders:
            raise UserError(_no_images(folder / name))
    return found


def _no_images(folder: Path) -> str:
    return (
        f"{folder}: a class without images; add some, remove the folder, or name the folders of "
        "classes under data.splits"
    )


def refuse_strangers(found: dict[str, list[str]], number: dict[str, int], folder: Path) -> None:
    """UserError where a folder is no class of the train split."""
    strange = [name for name in found if name not in number]
    if strange:
        raise UserError(
            f"{folder / strange[0]}: {len(strange)} of {len(found)} classes here are not in the "
            f"train split, which has {some(number)}"
        )


def add_test(draft: Draft, folder: Path, root: Path, number: dict[str, int]) -> None:
    """Test images in sorted order: labelled by class folders, else unlabelled.

    Unlabelled images lie in the folder itself or in its only sub-folder ("images", "unknown").
    """
    listing = scan(folder)
    if len(listing.folders) == 1 and listing.folders[0] not in number and not listing.images:
        inner = scan(folder / listing.folders[0])
        if inner.images:
            folder, listing = folder / listing.folders[0], inner
    if listing.images:
        prefix = relative(folder, root)
        draft.add(TEST, [prefix + image for image in listing.images])
        return
    if not listing.folders:
        raise UserError(f"{folder}: an empty test split; add images or remove the folder")
    found = read_classes(folder, root)
    refuse_strangers(found, number, folder)
    _add(draft, TEST, found, number)


def _add(draft: Draft, split: int, found: dict[str, list[str]], number: dict[str, int]) -> None:
    for name, files in found.items():
        draft.add(split, files, [number[name]] * len(files))


def _add_verify(draft: Draft, found: dict[str, list[str]]) -> None:
    """Identities of their own, whatever they are called: "1" here is not the class "1"."""
    shared = set(found) & set(draft.identities)
    if shared:
        log.warning(
            "data.splits.verify: %d names (%s) are also trained classes; pairs measure open-set "
            "verification only if they are other identities",
            len(shared),
            some(sorted(shared)),
        )
    first = len(draft.identities)
    draft.identities += found
    _add(draft, VERIFY, found, {name: first + k for k, name in enumerate(found)})
