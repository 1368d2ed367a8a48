"""Scores and classes to the file that is handed in, and its check. Imports nothing heavy."""

from starter.submission.check import Problem, check
from starter.submission.formats import fill
from starter.submission.table import Table, write

__all__ = ["Problem", "Table", "check", "fill", "write"]
