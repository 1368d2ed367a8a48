"""The folder of a run -> one page that stands alone, and every figure beside it.

Reads only what the folder holds. Importing this imports no matplotlib.
"""

from starter.report.page import report

__all__ = ["report"]
