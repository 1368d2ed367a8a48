"""What a data set is made of and what is wrong with it, before anything is trained."""

from starter.data.inspect.report import draw, inspect, table

__all__ = ["draw", "inspect", "table"]
