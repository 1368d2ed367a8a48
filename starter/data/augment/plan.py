"""Which entries of `augment:` the kit draws itself, with the very arguments they have."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from starter.data.augment import colour, geometry, local
from starter.data.augment.geometry import Border
from starter.data.augment.on_device import DeviceAugment, Entry, layers_of
from starter.data.augment.transforms import build_transforms
from starter.errors import UserError
from starter.recipe.schema.data import AugmentStep

log = logging.getLogger(__name__)

LINEAR = 1  # cv2.INTER_LINEAR
MOST_HOLES = 32


class _Refused(Exception):
    """An argument that the device does not honour, or an entry that it does not know."""


def choose(
    augment_on: str,
    steps: Sequence[AugmentStep],
    image_size: int,
    channels: int,
    device_type: str,
) -> DeviceAugment | None:
    """The pipeline for the device, None where the CPU's is to be used; the log says why.

    augment_on: auto, device or cpu, as in a recipe. auto: on a GPU, when every entry can go there;
    on a CPU, opencv is faster image by image. Raises UserError for `device` with
    an entry, or an argument, that cannot.
    """
    if augment_on == "cpu" or not steps or (augment_on == "auto" and device_type == "cpu"):
        return None
    try:
        return plan(steps, image_size, channels, pin_memory=device_type == "cuda")
    except _Refused as error:
        if augment_on == "device":
            raise UserError(
                f"augment_on: device: {error}; set train.augment_on=cpu, or auto to fall back"
            ) from None
        log.info("augmenting on the CPU: %s", error)
        return None


def plan(
    steps: Sequence[AugmentStep], image_size: int, channels: int, pin_memory: bool = False
) -> DeviceAugment:
    """All steps as layers. Raises _Refused naming the entry and the argument."""
    planner = _Planner(image_size, channels)
    for i, (step, transform) in enumerate(zip(steps, build_transforms(steps), strict=True)):
        planner.add(f"augment.{i}", step.kind, transform, ())
    return DeviceAugment(layers_of(planner.entries, image_size), planner.draws, pin_memory)


def known(
    kinds: Sequence[str], transforms: Sequence[Any], image_size: int, channels: int
) -> tuple[list[list[Entry] | None], int]:
    """The entries of each transform, None for one that is not known, or has an argument that is
    not; and how many uniform numbers an image needs for them."""
    planner = _Planner(image_size, channels)
    found: list[list[Entry] | None] = []
    for i, (kind, transform) in enumerate(zip(kinds, transforms, strict=True)):
        planner.entries = []
        try:
            planner.add(f"augment.{i}", kind, transform, ())
        except _Refused:
            found.append(None)
        else:
            found.append(planner.entries)
    return found, planner.draws


class _Planner:
    """Goes through albumentations' own objects, whose arguments are checked and complete."""

    def __init__(self, size: int, channels: int):
        self.size, self.channels = size, channels
        self.entries: list[Entry] = []
        self.draws = 0

    def add(self, place: str, kind: str, transform: Any, gates: tuple) -> None:
        try:
            gates = (*gates, (self._columns(1).start, float(transform.p)))
            if kind == "Sequential":
                self._sequence(place, transform.transforms, gates)
                return
            if kind not in KINDS:
                raise _Refused(f"only {', '.join(KINDS)} and Sequential of these can go there")
            step = KINDS[kind](transform, self.size, self.channels)
        except _Refused as error:
            text = str(error)
            raise _Refused(
                text if text.startswith("augment.") else f"{place} ({kind}): {text}"
            ) from None
        self._entry(place, step, gates)

    def _entry(self, place: str, step: Any, gates: tuple) -> None:
        self.entries.append(Entry(place, step, gates, self._columns(step.draws)))

    def _columns(self, count: int) -> slice:
        self.draws += count
        return slice(self.draws - count, self.draws)

    def _sequence(self, place: str, transforms: list, gates: tuple) -> None:
        kinds = [type(transform).__name__ for transform in transforms]
        i = 0
        while i < len(kinds):
            if kinds[i] in ("Pad", "PadIfNeeded") and kinds[i + 1 : i + 2] == ["RandomCrop"]:
                step = _pad_and_crop(transforms[i], transforms[i + 1], self.size, self.channels)
                self._entry(f"{place}.transforms.{i}", step, gates)
                i += 2
                continue
            self.add(f"{place}.transforms.{i}", kinds[i], transforms[i], gates)
            i += 1


def _only(transform: Any, **wanted: Any) -> None:
    for name, value in wanted.items():
        given = getattr(transform, name)
        if given != value:
            raise _Refused(f"{name}={given!r} is not done on the device, {name}={value!r} is")


def _border(transform: Any, channels: int) -> Border:
    if transform.border_mode not in geometry.PADDING:
        raise _Refused(
            f"border_mode={transform.border_mode} is not done on the device, "
            f"{', '.join(map(str, geometry.PADDING))} are"
        )
    constant = transform.border_mode == geometry.CONSTANT
    fill = _per_channel(transform.fill, channels) if constant else (0.0,) * channels
    return Border(transform.border_mode, fill)


def _per_channel(fill: Any, channels: int) -> tuple[float, ...]:
    values = tuple(fill) if isinstance(fill, list | tuple) else (fill,) * channels
    if len(values) != channels:
        raise _Refused(f"fill={fill!r} has {len(values)} values for {channels} channels")
    return tuple(min(max(float(value), 0.0), 255.0) for value in values)  # as opencv does


def _hole_fill(fill: Any, channels: int) -> tuple[float, ...] | None:
    if isinstance(fill, str):
        if fill != "random_uniform":
            raise _Refused(
                f"fill={fill!r} is not done on the device, a number or 'random_uniform' is"
            )
        return None
    return tuple(float(int(value)) for value in _per_channel(fill, channels))


def _affine(t: Any, size: int, channels: int) -> geometry.Affine:
    _only(t, interpolation=LINEAR, fit_output=False, balanced_scale=False)
    in_percent = t.translate_percent is not None
    return geometry.Affine(
        size,
        _border(t, channels),
        tuple(t.rotate),
        t.scale,
        t.shear,
        t.translate_percent if in_percent else t.translate_px,
        in_percent,
        t.keep_ratio,
    )


def _perspective(t: Any, size: int, channels: int) -> geometry.Perspective:
    _only(t, interpolation=LINEAR, fit_output=False, keep_size=True)
    return geometry.Perspective(size, _border(t, channels), tuple(t.scale))


def _pad_and_crop(pad: Any, crop: Any, size: int, channels: int) -> geometry.PadAndCrop:
    _only(pad, p=1)
    _only(crop, p=1, height=size, width=size)
    if type(pad).__name__ == "PadIfNeeded":
        _only(pad, position="center", pad_height_divisor=None, pad_width_divisor=None)
        extra = [max(side - size, 0) for side in (pad.min_width, pad.min_height)]
        left, top = extra[0] // 2, extra[1] // 2
        sides = (left, top, extra[0] - left, extra[1] - top)
    else:
        given = pad.padding
        x, y, *others = given if isinstance(given, list | tuple) else (given, given)
        sides = (x, y, *(others or (x, y)))
    return geometry.PadAndCrop(size, _border(pad, channels), sides)


def _jitter(t: Any, size: int, channels: int) -> colour.ColorJitter:
    return colour.ColorJitter(tuple(tuple(getattr(t, n)) for n in colour.ColorJitter.names))


def _brightness(t: Any, size: int, channels: int) -> colour.BrightnessContrast:
    _only(t, ensure_safe_range=False)
    return colour.BrightnessContrast(
        tuple(t.brightness_limit), tuple(t.contrast_limit), t.brightness_by_max
    )


def _to_gray(t: Any, size: int, channels: int) -> colour.ToGray:
    _only(t, method="weighted_average")
    return colour.ToGray()


def _blur(t: Any, size: int, channels: int) -> local.GaussianBlur:
    reach = max(int(t.sigma_limit[1] * 3.5) if t.blur_limit[0] == 0 else 0, t.blur_limit[1] // 2)
    if reach >= size:
        raise _Refused(f"a blur that reaches {reach} pixels is wider than the image of {size}")
    return local.GaussianBlur(tuple(t.sigma_limit), tuple(t.blur_limit))


def _holes(t: Any, size: int, channels: int) -> local.Holes:
    if t.num_holes_range[1] > MOST_HOLES:
        raise _Refused(f"num_holes_range={t.num_holes_range} is more than {MOST_HOLES} holes")
    return local.Holes(
        size,
        channels,
        tuple(t.num_holes_range),
        tuple(t.hole_height_range),
        tuple(t.hole_width_range),
        t.hole_height_range[1] >= 1,
        _hole_fill(t.fill, channels),
    )


def _erasing(t: Any, size: int, channels: int) -> local.Erasing:
    return local.Erasing(
        size, channels, tuple(t.scale), tuple(t.ratio), _hole_fill(t.fill, channels)
    )


KINDS: dict[str, Callable[[Any, int, int], Any]] = {
    "HorizontalFlip": lambda t, size, channels: geometry.Flip(0, size),
    "VerticalFlip": lambda t, size, channels: geometry.Flip(1, size),
    "Affine": _affine,
    "Perspective": _perspective,
    "ColorJitter": _jitter,
    "RandomBrightnessContrast": _brightness,
    "ToGray": _to_gray,
    "GaussianBlur": _blur,
    "CoarseDropout": _holes,
    "Erasing": _erasing,
}
