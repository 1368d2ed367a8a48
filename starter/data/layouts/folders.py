"""A folder per class, nested one or two deep (Omniglot, ORL, any ImageFolder)."""

import logging
from pathlib import Path

from starter.data.catalog import DEV, TEST, TRAIN, VERIFY, Catalog
from starter.data.layouts.disk import (
    SPLIT_NAMES,
    find_named,
    find_usual,
    relative,
    scan,
    some,
)
from starter.data.layouts.draft import Draft, Rows
from starter.errors import UserError
from starter.recipe.schema.data import DataSection, SplitsSection

log = logging.getLogger(__name__)


def read(root: Path, *, splits: SplitsSection) -> Catalog:
    """Folders of classes as a catalog; classes and files in sorted order.

    Without a train folder the root itself holds the classes. Without a dev folder a share of each
    class is dev. A test folder without class folders is unlabelled. Pairs are made of the verify
    folder's identities, else of held-out classes where data.pairs is set.

    Raises:
        UserError: a split or a class without images, a dev class that is not trained on.
    """
    root = descend(root, splits)
    parts = find_splits(root, splits)
    train = read_classes(parts["train"], root)
    draft = Draft(root, list(dict.fromkeys(train.labels)))
    draft.add(TRAIN, train)
    if "dev" in parts:
        draft.add(DEV, read_classes(parts["dev"], root))
    if "test" in parts:
        draft.add(TEST, read_test(parts["test"], root))
    if "verify" in parts:
        draft.add(VERIFY, read_classes(parts["verify"], root))
        shared = set(draft.people) & set(draft.classes)
        if shared:
            log.warning(
                "data.splits.verify: %d names (%s) are also trained classes; pairs measure "
                "open-set verification only if they are other identities",
                len(shared),
                some(sorted(shared)),
            )
    return draft.finish()


def descend(root: Path, splits: SplitsSection) -> Path:
    """The only folder in root where that one holds folders itself: archives often add one."""
    listing = scan(root)
    if len(listing.folders) != 1 or listing.images:
        return root
    only = listing.folders[0]
    if only.lower() in SPLIT_NAMES["train"] or only in splits.model_dump().values():
        return root
    return root / only if scan(root / only).folders else root


def refuse(root: Path, data: DataSection) -> None:
    """UserError unless two folders of images lie where a train split may be."""
    root = descend(root, data.splits)
    train = find_splits(root, data.splits)["train"]
    if len(set(read_classes(train, root).labels)) < 2:
        raise UserError(f"{train}: one class; two are needed")


def find_splits(root: Path, splits: SplitsSection) -> dict[str, Path]:
    """The folder of each split there is; root itself for train where no folder is named so."""
    named = {key: name for key, name in splits.model_dump().items() if name is not None}
    parts = {key: find_named(root, key, name) for key, name in named.items()}
    train = parts.get("train") or find_usual(root, SPLIT_NAMES["train"])
    if train is None:
        if parts:
            raise UserError(
                f"data.splits.train: not set, and {root} has no folder train; "
                f"it has {some(scan(root).folders)}"
            )
        return {"train": root}
    parts["train"] = train
    for key in ("dev", "test"):
        usual = find_usual(root, SPLIT_NAMES[key])
        if key not in parts and usual is not None and usual not in parts.values():
            parts[key] = usual
    return parts


def read_classes(folder: Path, root: Path) -> Rows:
    """The images of every class, relative to root; a class two deep is named "outer/inner".

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
    rows = Rows(folder, [], [])
    for name in listing.folders:
        inner = scan(folder / name)
        if inner.images and any(scan(folder / name / deep).images for deep in inner.folders):
            raise UserError(f"{folder / name}: has images and folders of images; keep one")
        deeper = [] if inner.images else inner.folders
        for label in [f"{name}/{deep}" for deep in deeper] or [name]:
            images = scan(folder / label).images
            if not images:
                raise UserError(
                    f"{folder / label}: a class without images; add some, remove the folder, or "
                    "name the folders of classes under data.splits"
                )
            prefix = relative(folder / label, root)
            rows.names.extend(prefix + image for image in images)
            rows.labels.extend([label] * len(images))
    return rows


def read_test(folder: Path, root: Path) -> Rows:
    """Test images in sorted order: labelled by class folders, else unlabelled.

    Unlabelled images lie in the folder itself or in its only sub-folder ("images", "unknown"),
    whatever that is called: one folder tells no classes apart.
    """
    listing = scan(folder)
    if len(listing.folders) == 1 and not listing.images:
        inner = folder / listing.folders[0]
        if scan(inner).images:
            folder, listing = inner, scan(inner)
    if listing.images:
        prefix = relative(folder, root)
        names = [prefix + image for image in listing.images]
        return Rows(folder, names, [""] * len(names))
    if not listing.folders:
        raise UserError(f"{folder}: an empty test split; add images or remove the folder")
    return read_classes(folder, root)
