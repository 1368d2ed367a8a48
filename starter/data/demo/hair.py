"""Hair: behind the head, and the cap in front of it. Lengths in head units (see traits.py)."""

import numpy as np

from starter.data.demo.canvas import Canvas, circle, xy
from starter.data.demo.traits import Face, blend


def back_hair(canvas: Canvas, face: Face, hair) -> None:
    """Hair behind the head: what hangs down, a bun, and tufts beside a bald crown."""
    dark = hair * 0.80
    if face.recede > 0.05:
        for which in (-1, 1):
            middle = np.array([which * face.head_width * 0.93, -0.12])
            tuft = circle(40) * _waves(face, 40) * [0.12 + 0.6 * face.hair_side, 0.36]
            canvas.fill(canvas.outline(middle + tuft), hair)
        return
    if face.bun > 0.05:
        middle = np.array([face.parting * 0.4, -1.05 - face.hair_top * 0.6])
        canvas.fill(canvas.outline(middle + circle(28) * face.bun), hair * 0.9)
    if face.hair_length > 0.25:
        y = np.linspace(-0.85, face.hair_length, 28)
        wide = face.head_width + 0.06 + face.hair_side + 0.05 * y
        wide = wide * np.where(y < 0, np.sqrt(np.maximum(0, 1 - y**2)), 1)
        tuck = np.clip((face.hair_length - y) / 0.25, 0, 1)  # rounds the lower corners
        x = wide * (1 + max(face.curl, 0) * np.sin(y * 14)) - 0.22 * (1 - tuck) ** 2
        left = xy(-x, y)
        canvas.fill(canvas.outline(np.concatenate([left, left[::-1] * [-1, 1]])), dark)


def front_hair(canvas: Canvas, face: Face, hair) -> None:
    """The cap of hair from its outer edge to the hairline."""
    if face.recede > 0.05:
        return
    angle = np.linspace(0.06 * np.pi, -1.06 * np.pi, 64)
    cos, sin = np.cos(angle), np.sin(angle)
    wave = 1 + max(face.curl, 0) * np.sin(angle * 22)
    x = (face.head_width + 0.03 + face.hair_side) * np.sign(cos) * np.abs(cos) ** 0.85
    top = xy(x * wave, (1.0 + face.hair_top) * sin * wave)
    t = np.linspace(-1, 1, 48)
    line = face.hairline + face.sweep * np.abs(t - face.parting) ** 1.3
    temple = np.clip((np.abs(t) - 0.74) / 0.26, 0, 1)
    ear = 0.05 if face.hair_length < 0.25 else 0.35
    line = line * (1 - temple) + ear * temple
    rim = xy(t * face.head_width * 1.01, line)
    canvas.fill(np.concatenate([canvas.outline(top), on_head(canvas, rim)]), hair)
    _strands(canvas, face, hair)


def on_head(canvas: Canvas, rim_N2: np.ndarray) -> np.ndarray:
    """The hairline turns with the face in the middle and stays with the outline at the sides."""
    share = np.clip((np.abs(rim_N2[:, :1]) / np.abs(rim_N2[:, 0]).max() - 0.6) / 0.4, 0, 1)
    return canvas.project(rim_N2) * (1 - share) + canvas.outline(rim_N2) * share


def _waves(face: Face, points: int) -> np.ndarray:
    """Curls on a closed outline, as factors (N, 1)."""
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return 1 + max(face.curl, 0) * np.sin(angle * 9)[:, None]


def _strands(canvas: Canvas, face: Face, hair) -> None:
    root = np.array([face.parting * face.head_width * 0.7, -0.98 - face.hair_top * 0.6])
    t = np.linspace(0, 1, 12)[:, None]
    for end, colour in ((-0.92, 0.86), (-0.55, 1.16), (0.5, 0.88), (0.9, 1.12)):
        aside = end * (face.head_width + 0.3 * face.hair_side)
        finish = np.array([aside, -0.30 - 0.5 * (1 - end**2)])
        bend = np.array([finish[0], root[1]]) * [0.8, 0.92]
        curve = (1 - t) ** 2 * root + 2 * t * (1 - t) * bend + t**2 * finish
        canvas.stroke(canvas.outline(curve), blend(hair, hair * colour + 4, 0.9), 0.03)
