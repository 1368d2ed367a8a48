"""The real `kaggle` client, wrapped. Imports it only when something is sent."""

from starter.kaggle.client import Sent, submit

__all__ = ["Sent", "submit"]
