"""A folder of a run, or of a study -> pictures: one page that stands alone, and every figure.

Reads only what the folder holds. Importing this imports no matplotlib.
"""

from starter.report.study import draw_study
from starter.report.write import report

__all__ = ["draw_study", "report"]
