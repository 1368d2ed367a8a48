"""A run folder -> pictures: one self-contained page, and every figure as PNG and SVG beside it.

Reads only what a run folder holds. Importing this imports no matplotlib.
"""

from starter.report.write import report

__all__ = ["report"]
