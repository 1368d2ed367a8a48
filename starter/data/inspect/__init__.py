"""What a data set is made of and what is wrong with it, before anything is trained."""

from starter.data.inspect.report import inspect, table

__all__ = ["inspect", "table"]
