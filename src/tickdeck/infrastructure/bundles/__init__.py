"""A run in one zip file: all that it takes to prove it on another machine, and nothing secret."""

from tickdeck.infrastructure.bundles.packing import Bundled, pack
from tickdeck.infrastructure.bundles.unpacking import Unpacked, unpacked

__all__ = ["Bundled", "Unpacked", "pack", "unpacked"]
