"""The real `kaggle` client, wrapped. Imports it only when Kaggle is asked."""

from starter.kaggle.client import Client
from starter.kaggle.competition import (
    Limits,
    Submission,
    find,
    limits,
    refuse_without_allowance,
    send,
    submission,
    submissions,
    wait,
)
from starter.kaggle.errors import NoScoreYet, NotReached, NotScored, Unsure

__all__ = [
    "Client",
    "Limits",
    "NoScoreYet",
    "NotReached",
    "NotScored",
    "Submission",
    "Unsure",
    "find",
    "limits",
    "refuse_without_allowance",
    "send",
    "submission",
    "submissions",
    "wait",
]
