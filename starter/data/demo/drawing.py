"""A face and a view -> a picture.

Shapes: N points, H W pixels. Lengths in head units (see traits.py).
"""

import numpy as np

from starter.data.demo import traits
from starter.data.demo.canvas import Canvas, circle, lit, photographed, xy
from starter.data.demo.hair import back_hair, front_hair, on_head
from starter.data.demo.traits import Face, View, blend

DARK = np.array([30.0, 22, 22])
SAMPLES, LEAST_SIDE = 2, 64  # drawn this much finer, and at least so large, then averaged


def render(face: Face, view: View, size: int) -> np.ndarray:
    """The face as the view shows it: uint8 (size, size, 3) RGB; the same for the same arguments."""
    side = size * max(SAMPLES, -(-LEAST_SIDE // size))
    canvas = Canvas(side, view, face.head_width)
    skin, hair = traits.skin_colour(face), traits.hair_colour(face)
    _backdrop(canvas, view)
    back_hair(canvas, face, hair)
    _body(canvas, face, view, skin)
    _ears(canvas, face, skin)
    head = canvas.outline(head_edge(face))
    canvas.fill(head, skin)
    _marks(canvas, face, skin)
    _beard(canvas, face, skin, hair)
    _nose(canvas, face, view, skin)
    _mouth(canvas, face, view, skin)
    _moustache(canvas, face, skin, hair)
    for which in (-1, 1):
        _eye(canvas, face, view, which, skin)
        _brow(canvas, face, view, which, skin, hair)
    front_hair(canvas, face, hair)
    _glasses(canvas, face)
    _occluder(canvas, face, view)
    image_HW3 = lit(canvas, view, head)
    return photographed(image_HW3, view, size)


def head_edge(face: Face, grow: float = 0.0) -> np.ndarray:
    """The outline of the head, anticlockwise from its right temple: float (64, 2)."""
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x, y = np.cos(angle), np.sin(angle)
    low = np.maximum(y, 0)
    squared = (1 - low**face.jaw) ** face.jaw_depth
    half = np.where(y > 0, squared, np.abs(x) ** 0.9) * face.head_width
    return xy(np.sign(x) * (half + grow), y * (1 + grow))


def _backdrop(canvas: Canvas, view: View) -> None:
    first, second = (np.array(colour) for colour in view.backdrop[:2])
    slope = np.linspace(0, 1, canvas.side)[:, None, None]
    canvas.image_HW3[:] = first + (second - first) * slope


def _body(canvas: Canvas, face: Face, view: View, skin) -> None:
    neck = np.array([[-0.36, 0.5], [0.36, 0.5], [0.40, 1.3], [0.0, 1.5], [-0.40, 1.3]])
    angle = np.linspace(np.pi, 2 * np.pi, 24)
    shoulders = xy(1.35 * np.cos(angle), 2.0 + 0.85 * np.sin(angle))
    clothes = np.concatenate([shoulders, [[1.4, 4], [-1.4, 4]]])
    canvas.fill(canvas.outline(clothes), view.backdrop[2])
    canvas.fill(canvas.outline(neck), skin * 0.80)
    collar = np.array([[-0.42, 1.24], [0.0, 1.54], [0.42, 1.24]])
    canvas.stroke(canvas.outline(collar), np.array(view.backdrop[2]) * 0.8, 0.06)


def _ears(canvas: Canvas, face: Face, skin) -> None:
    for which in (-1, 1):
        middle = np.array([which * (face.head_width + 0.03), face.eye_y + 0.16])
        ear = middle + circle(24) * [face.ear_size * 0.55, face.ear_size]
        canvas.fill(canvas.project(ear, -0.12), skin * 0.93)
        canvas.fill(canvas.project(middle + (ear - middle) * 0.55, -0.12), skin * 0.80)


def _marks(canvas: Canvas, face: Face, skin) -> None:
    """Rosy cheeks, freckles and a mole."""
    flush = blend(skin, (226, 96, 92), 0.16)
    for which in (-1, 1):
        cheek = np.array([which * 0.43 * face.head_width / 0.76, 0.28]) + circle(24) * [0.15, 0.11]
        canvas.fill(canvas.project(cheek), flush)
    if face.freckles > 0:
        rng = np.random.default_rng(face.marks)
        places = rng.normal(0, 1, (28, 2)) * [0.26, 0.08] + [0, 0.20]
        colour = blend(skin, (120, 62, 34), 0.2 + 0.3 * face.freckles)
        for pixel in canvas.project(places[: 10 + int(18 * face.freckles)]):
            canvas.dot(pixel, 0.018, colour)
    if face.mole > 0.3:
        place = np.array([[face.mole_x, face.mole_y]])
        canvas.dot(canvas.project(place)[0], 0.022 + 0.02 * face.mole, blend(skin, DARK, 0.75))


def _beard(canvas: Canvas, face: Face, skin, hair) -> None:
    if face.beard <= 0:
        return
    colour = blend(skin, hair, min(0.30 + 0.7 * face.beard, 0.95))
    edge = head_edge(face, 0.02 + 0.05 * face.beard)
    around = edge[(edge[:, 1] > 0.12)]  # from the right ear under the chin to the left
    t = np.linspace(-1, 1, 32)
    top = face.mouth_y - 0.10 + 0.16 * np.exp(-((t / 0.30) ** 2) * 0.5)
    rim = np.where(np.abs(t) > 0.6, top - (np.abs(t) - 0.6) * 0.85, top)
    inner = xy(t * face.head_width * 0.98, rim)
    canvas.fill(np.concatenate([canvas.outline(around), canvas.project(inner)]), colour)


def _nose(canvas: Canvas, face: Face, view: View, skin) -> None:
    shade, light = skin * 0.84, blend(skin, (255, 250, 240), 0.28)
    top, tip = face.eye_y + 0.02, face.eye_y + face.nose_length
    away = -1.0 if view.light[0] > 0 else 1.0
    # Down one side of the nose, then up its ridge.
    x = away * np.array([0.05, 0.055, face.nose_width * 0.55, face.nose_width, 0, 0])
    middle = (top + tip) / 2
    around = xy(x, [top, middle, tip - 0.02, tip + 0.01, tip + 0.03, middle])
    depth = np.array([0.80, 0.86, 0.97, 0.84, 1.0, 0.88])
    canvas.fill(canvas.project(around, depth), blend(skin, shade, 0.6))
    t = np.linspace(-1, 1, 16)
    under = xy(t * face.nose_width, tip + face.nose_bulb * (1 - t**2) - 0.03 * t**4)
    canvas.stroke(canvas.project(under, 0.90), skin * 0.66, 0.035)
    for which in (-1, 1):
        nostril = np.array([[which * face.nose_width * 0.48, tip + face.nose_bulb * 0.45]])
        canvas.dot(canvas.project(nostril, 0.92)[0], 0.026, skin * 0.5)
    canvas.dot(canvas.project(np.array([[0.0, tip - 0.06]]), 1.0)[0], 0.032, light)


def _mouth(canvas: Canvas, face: Face, view: View, skin) -> None:
    lips = blend(traits.along(traits.LIPS, face.lip_colour), skin, 0.25 + 0.2 * face.skin)
    t = np.linspace(-1, 1, 24)
    wide = face.mouth_width * (1 + 0.18 * view.smile)
    line = face.mouth_y - 0.055 * view.smile * (t**2 - 0.35)
    bow = 1 - t**2
    gap = 0.09 * view.mouth_open * bow
    dip = 0.35 * np.exp(-((t / 0.16) ** 2))  # of the upper lip's middle
    upper = line - face.lip * bow**0.7 * (1 - dip) - gap * 0.3
    lower = line + face.lip * 1.25 * bow**0.8 + gap
    x = t * wide

    def strip(top_N: np.ndarray, bottom_N: np.ndarray, colour) -> None:
        edge = np.concatenate([xy(x, top_N), xy(x, bottom_N)[::-1]])
        canvas.fill(canvas.project(edge), colour)

    strip(upper, lower, lips)
    if view.mouth_open > 0.12:
        strip(line - gap * 0.3, line + gap, blend(lips, (60, 14, 20), 0.8))
        strip(line - gap * 0.3, line + gap * 0.25, (236, 232, 226))
    else:
        canvas.stroke(canvas.project(xy(x, line)), lips * 0.6, 0.022)
    if face.beard > 0:
        return
    chin = xy(t * 0.16, face.mouth_y + 0.20 + 0.02 * t**2)
    canvas.stroke(canvas.project(chin), blend(skin, skin * 0.8, 0.5), 0.03)


def _moustache(canvas: Canvas, face: Face, skin, hair) -> None:
    if face.moustache <= 0.15:
        return
    t = np.linspace(-1, 1, 24)
    x = t * (face.mouth_width * (0.75 + 0.5 * face.moustache))
    middle = face.mouth_y - face.lip - 0.045 + 0.05 * t**2
    half = (0.03 + 0.035 * face.moustache) * np.sqrt(np.maximum(0, 1 - t**2))
    half = half * (1 - 0.45 * np.exp(-((t / 0.1) ** 2)))
    edge = np.concatenate([xy(x, middle - half), xy(x, middle + half)[::-1]])
    canvas.fill(canvas.project(edge), blend(skin, hair, 0.92))


def _eye(canvas: Canvas, face: Face, view: View, which: int, skin) -> None:
    t = np.linspace(-1, 1, 20)
    open_ = face.eye_height * view.eye_open
    upper, lower = -open_ * (1 - t**2) ** 0.65, 0.62 * open_ * (1 - t**2) ** 0.8

    def placed(points_N2: np.ndarray) -> np.ndarray:
        """From the eye's own frame, t towards the temple, to pixels."""
        (x, y), sin, cos = points_N2.T, np.sin(face.eye_tilt), np.cos(face.eye_tilt)
        x, y = x * cos + y * sin, y * cos - x * sin
        return canvas.project(xy(which * (face.eye_spacing + x), face.eye_y + y))

    x = t * face.eye_width
    lid = xy(x, upper)
    socket = xy(x * 1.15, upper * 1.0 - 0.045)
    almond = np.concatenate([lid, xy(x, lower)[::-1]])
    canvas.fill(placed(np.concatenate([socket, lid[::-1]])), skin * 0.87)
    canvas.fill(placed(almond), (246, 243, 238))
    across = which * view.gaze[0] * 0.3 * face.eye_width
    middle = np.array([across, view.gaze[1] * 0.3 * face.eye_height - 0.1 * open_])
    iris = traits.along(traits.IRISES, face.eye_colour * (1 - 0.5 * face.skin))
    radius = min(0.9 * face.eye_height, 0.56 * face.eye_width)
    for share, colour in ((1.0, iris * 0.62), (0.86, iris), (0.45, (16, 12, 12))):
        disc = middle + circle(28) * radius * share
        at = disc[:, 0] = np.clip(disc[:, 0], -face.eye_width, face.eye_width)
        disc[:, 1] = np.clip(disc[:, 1], np.interp(at, x, upper), np.interp(at, x, lower))
        canvas.fill(placed(disc), colour)
    if open_ > 0.03:
        glint = middle + np.array([which * 0.35 * radius, -0.35 * radius])
        canvas.dot(placed(glint[None])[0], 0.22 * radius + 0.006, (255, 255, 255))
    canvas.stroke(placed(lid), DARK, face.lash)
    canvas.stroke(placed(xy(x, lower)), skin * 0.62, 0.014)


def _brow(canvas: Canvas, face: Face, view: View, which: int, skin, hair) -> None:
    t = np.linspace(-1, 1, 16)
    height = face.eye_y - face.brow_rise - 0.05 * view.brow_raise
    y = height - face.brow_arch * (1 - t**2) - face.brow_tilt * 0.5 * t * face.brow_width
    y = y + 0.03 * max(0.0, -view.brow_raise) * (1 - t)  # frowning draws the inner ends down
    half = face.brow_thick * (1 - 0.45 * t) * np.sqrt(np.maximum(0.05, 1 - t**4)) * 0.75
    x = which * (face.eye_spacing + t * face.brow_width)
    edge = np.concatenate([xy(x, y - half), xy(x, y + half)[::-1]])
    canvas.fill(canvas.project(edge), blend(blend(skin, hair, 0.85), DARK, 0.25))


def _glasses(canvas: Canvas, face: Face) -> None:
    if face.glasses <= 0:
        return
    colour = traits.along(traits.RIMS, face.glasses_colour)
    for which in (-1, 1):
        rim = _lens(face, which)
        canvas.stroke(canvas.project(rim, 0.88), colour, 0.03 + 0.04 * face.glasses, closed=True)
        hinge = which * (face.eye_spacing + face.glasses_size)
        arm = xy([hinge, which * face.head_width], [face.eye_y - 0.05, face.eye_y - 0.06])
        canvas.stroke(canvas.project(arm, np.array([0.8, 0.0])), colour, 0.035)
    gap = face.eye_spacing - face.glasses_size
    t = np.linspace(-1, 1, 8)
    bridge = xy(t * max(gap, 0.03), face.eye_y - 0.05 - 0.03 * (1 - t**2))
    canvas.stroke(canvas.project(bridge, 0.95), colour, 0.035)


def _lens(face: Face, which: int) -> np.ndarray:
    around = circle(32)
    power = 2 / face.glasses_square
    shape = np.sign(around) * np.abs(around) ** power * face.glasses_size * [1.0, 0.82]
    middle = np.array([which * (face.eye_spacing + 0.01), face.eye_y + 0.02])
    return shape + middle


def _occluder(canvas: Canvas, face: Face, view: View) -> None:
    """Something in front of the face."""
    colour = np.array(view.occluder_colour)
    t = np.linspace(-1, 1, 24)
    if view.occluder == "bar":
        x, y, angle = view.occluder_place
        sin, cos = np.sin(angle), np.cos(angle)
        corner = np.sign(circle(40)) * np.abs(circle(40)) ** 0.4 * [0.75, 0.17]
        canvas.fill(canvas.outline(corner @ np.array([[cos, sin], [-sin, cos]]) + [x, y]), colour)
    elif view.occluder in ("scarf", "mask"):
        start = 0.62 if view.occluder == "scarf" else 0.24
        rim = xy(t * face.head_width, start + 0.06 * t**2)
        edge = head_edge(face, 0.05 if view.occluder == "mask" else 0.16)
        edge = edge[edge[:, 1] > start + 0.05]
        canvas.fill(np.concatenate([canvas.outline(edge), canvas.project(rim)]), colour)
    elif view.occluder == "cap":
        edge = head_edge(face, 0.08 + 0.5 * face.hair_side)
        edge = edge[edge[:, 1] < -0.42]
        rim = xy(t * (face.head_width + 0.1), -0.40 - 0.06 * (1 - t**2))
        canvas.fill(np.concatenate([canvas.outline(edge), on_head(canvas, rim)]), colour)
        canvas.stroke(on_head(canvas, rim), colour * 0.8, 0.13)
    elif view.occluder == "shades":
        for which in (-1, 1):
            canvas.fill(canvas.project(_lens(face, which), 0.88), (26, 26, 32))
        bridge = np.array([[-0.2, face.eye_y - 0.06], [0.2, face.eye_y - 0.06]])
        canvas.stroke(canvas.project(bridge, 0.95), (26, 26, 32), 0.05)
