"""A starter kit for image competitions: who is this, and are these two the same?"""

import os

# albumentations asks a package index for its newest version when imported; a notebook without
# internet then waits for the time-out. This must be set before its first import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

__version__ = "0.1.0"
