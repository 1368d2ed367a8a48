"""Who a drawn face is, and how it is seen: every number that a drawing is made from.

Units: a head is 2 high; x to the right, y down, z to the viewer, (0, 0, 0) the middle of the head.
Angles in radians. Colours are RGB in 0..255.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def drawn(by: Callable[[np.random.Generator], Any]) -> Any:
    """A field whose value `by` draws."""
    return field(metadata={"by": by})


def between(least: float, most: float) -> Any:
    """A field that is drawn evenly between two ends."""
    return drawn(lambda rng: float(rng.uniform(least, most)))


def normal(spread: float, most: float) -> Any:
    """A field that is drawn around 0, cut off at `most` on both sides."""
    return drawn(lambda rng: clipped(rng, spread, most))


def clipped(rng: np.random.Generator, spread: float, most: float) -> float:
    return float(np.clip(rng.normal(0, spread), -most, most))


def whole_number() -> Any:
    """A field of 31 random bits."""
    return drawn(lambda rng: int(rng.integers(2**31)))


def draw(kind: type[T], rng: np.random.Generator) -> T:
    """A Face that nobody has seen, or a View; their fields are drawn in the order they stand in."""
    return kind(**{part.name: part.metadata["by"](rng) for part in fields(kind)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Face:
    """An identity: geometry and colour, the same in all its images."""

    head_width: float = between(0.68, 0.84)  # half of it, as all widths and sizes here
    jaw: float = between(1.9, 3.6)  # pointed to square
    jaw_depth: float = between(0.42, 0.62)
    skin: float = between(0.0, 1.0)  # light to dark
    skin_hue: float = between(-1.0, 1.0)  # rosy to olive
    ear_size: float = between(0.14, 0.24)
    eye_y: float = between(-0.10, 0.06)
    eye_spacing: float = between(0.29, 0.40)
    eye_width: float = between(0.115, 0.175)
    eye_height: float = between(0.055, 0.105)
    eye_tilt: float = between(-0.22, 0.22)
    eye_colour: float = between(0.0, 1.0)
    lash: float = between(0.02, 0.05)
    brow_rise: float = between(0.13, 0.22)
    brow_width: float = between(0.14, 0.21)
    brow_thick: float = between(0.022, 0.06)
    brow_tilt: float = between(-0.20, 0.20)
    brow_arch: float = between(0.0, 0.07)
    nose_length: float = between(0.28, 0.46)
    nose_width: float = between(0.08, 0.17)
    nose_bulb: float = between(0.02, 0.07)
    mouth_y: float = between(0.46, 0.60)
    mouth_width: float = between(0.17, 0.31)
    lip: float = between(0.03, 0.075)
    lip_colour: float = between(0.0, 1.0)
    hair: float = between(0.0, 1.0)  # colour: black, brown, ginger, blond, grey
    hairline: float = between(-0.68, -0.42)
    hair_top: float = between(0.07, 0.28)
    hair_side: float = between(0.02, 0.22)
    hair_length: float = between(-1.0, 1.3)  # where it ends, in y; above 0.25 it does not hang down
    parting: float = between(-0.6, 0.6)
    sweep: float = between(0.0, 0.26)
    curl: float = between(-0.08, 0.08)  # waves of the outline; none below 0
    bun: float = between(-0.5, 0.32)
    recede: float = between(-0.45, 0.22)
    beard: float = between(-1.2, 1.0)
    moustache: float = between(-1.2, 1.0)
    freckles: float = between(-1.2, 1.0)
    mole: float = between(-1.0, 1.0)
    mole_x: float = between(-0.45, 0.45)
    mole_y: float = between(0.20, 0.68)
    glasses: float = between(-1.0, 0.5)  # none below 0
    glasses_size: float = between(0.19, 0.25)
    glasses_square: float = between(2.0, 5.0)  # exponent of the rim: round to square
    glasses_colour: float = between(0.0, 1.0)
    marks: int = whole_number()  # seed of where the freckles are


OCCLUDERS = ("none", "bar", "scarf", "cap", "shades", "mask")
OCCLUDER_SHARES = (0.60, 0.12, 0.07, 0.08, 0.06, 0.07)


def _direction(rng: np.random.Generator) -> tuple[float, float]:
    angle = rng.uniform(0, 2 * np.pi)
    return float(np.cos(angle)), float(np.sin(angle)) - 0.5


def _any_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    """A colour of walls and clothes: any hue, seldom garish."""
    grey = rng.uniform(60, 225)
    red, green, blue = np.clip(grey + rng.normal(0, 32, 3), 15, 245)
    return float(red), float(green), float(blue)


@dataclass(frozen=True)
class View:
    """How one image shows a face: all of it nuisance, drawn anew for every image."""

    light: tuple[float, float] = drawn(_direction)  # that it comes from, x and y
    yaw: float = normal(0.30, 0.65)
    pitch: float = normal(0.16, 0.35)
    roll: float = normal(0.13, 0.35)
    scale: float = drawn(lambda rng: float(np.exp(clipped(rng, 0.08, 0.18))))
    # of the image's side
    shift: tuple[float, ...] = drawn(lambda rng: tuple(clipped(rng, 0.025, 0.06) for _ in "xy"))
    contrast: float = between(0.1, 0.75)  # of shading
    gain: float = drawn(lambda rng: float(np.exp(clipped(rng, 0.26, 0.55))))
    warmth: float = normal(0.14, 0.32)
    smile: float = normal(0.5, 1.0)
    mouth_open: float = drawn(lambda rng: max(0.0, clipped(rng, 0.6, 1.0)))
    brow_raise: float = normal(0.4, 1.0)
    eye_open: float = between(0.35, 1.1)
    gaze: tuple[float, float] = drawn(lambda rng: (clipped(rng, 0.4, 0.8), clipped(rng, 0.25, 0.5)))
    # two colours and one of clothes
    backdrop: tuple[tuple[float, float, float], ...] = drawn(
        lambda rng: tuple(_any_colour(rng) for _ in range(3))
    )
    occluder: str = drawn(lambda rng: str(rng.choice(OCCLUDERS, p=OCCLUDER_SHARES)))
    occluder_place: tuple[float, float, float] = drawn(  # x, y, angle
        lambda rng: (*rng.uniform((-0.9, -0.7), 0.9).tolist(), clipped(rng, 0.6, 1.5))
    )
    occluder_colour: tuple[float, float, float] = drawn(_any_colour)
    # standard deviations: of the image's side, of 255
    blur: float = drawn(lambda rng: max(0.0, clipped(rng, 0.011, 0.03)))
    noise: float = between(1, 9)
    noise_seed: int = whole_number()


Colour = np.ndarray  # RGB float (3,)


def _palette(text: str) -> list[list[int]]:
    """Colours from their hexadecimal codes."""
    return [list(bytes.fromhex(code)) for code in text.split()]


SKINS = _palette("faddc8 f0c8ac deae8a be8a64 926244 62402e")
HAIRS = _palette("1c181a 3e2a20 684228 9e5226 c4924e e2ca96 b2b0b2")
IRISES = _palette("3e2618 6e4624 7c743a 4e8058 4a7aa8 8a98a6")
LIPS = _palette("ce7870 be5458 a4424a 965a4e")
RIMS = _palette("222024 784628 aa2830 3c4c82 b8a064")


def blend(a, b, share: float) -> Colour:
    """Colour a moved towards b by `share` in 0..1."""
    return np.asarray(a, float) * (1 - share) + np.asarray(b, float) * share


def along(colours, place: float) -> Colour:
    """The colour at `place` in 0..1 of a row of evenly spaced ones."""
    at = place * (len(colours) - 1)
    i = min(int(at), len(colours) - 2)
    return blend(colours[i], colours[i + 1], at - i)


def skin_colour(face: Face) -> Colour:
    return along(SKINS, face.skin) + face.skin_hue * np.array([4.0, -6.0, -10.0])


def hair_colour(face: Face) -> Colour:
    """Dark skin goes with darker hair, as it mostly does."""
    return along(HAIRS, face.hair * (1 - 0.55 * face.skin))
