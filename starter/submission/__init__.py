"""Scores and classes to the file that is handed in, and its check. Imports nothing heavy."""

from starter.submission.answers import Answers
from starter.submission.check import Problem, check
from starter.submission.formats import fill
from starter.submission.ledger import NAME as LEDGER_NAME
from starter.submission.ledger import Ledger, SubmittedBefore, sha256_of, trust
from starter.submission.table import Table, write

__all__ = [
    "LEDGER_NAME",
    "Answers",
    "Ledger",
    "Problem",
    "SubmittedBefore",
    "Table",
    "check",
    "fill",
    "sha256_of",
    "trust",
    "write",
]
