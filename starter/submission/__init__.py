"""A run's answers to the file that is handed in, and its check. Imports nothing heavy."""

from starter.submission.answers import Answers
from starter.submission.check import Problem, check
from starter.submission.formats import fill
from starter.submission.ledger import Entry, Ledger, SubmittedBefore, trust
from starter.submission.shapes import Ranked, mean_by_id
from starter.submission.table import Table, read_sample, write

__all__ = [
    "Answers",
    "Entry",
    "Ledger",
    "Problem",
    "Ranked",
    "SubmittedBefore",
    "Table",
    "check",
    "fill",
    "mean_by_id",
    "read_sample",
    "trust",
    "write",
]
