"""What there is to see: a folder on disk -> Catalog -> packed uint8 images.

Cheap to import: numpy only. `starter.data.batches` and `starter.data.augment` need torch.
"""

from starter.data.catalog import SPLITS, Catalog, Pairs
from starter.data.layouts import load_catalog, resolve_root
from starter.data.store import load_pack

__all__ = ["SPLITS", "Catalog", "Pairs", "load_catalog", "load_pack", "resolve_root"]
