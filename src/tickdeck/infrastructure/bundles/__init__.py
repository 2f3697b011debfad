"""A run in one zip file, with everything needed to prove it on another machine and without secrets."""

from tickdeck.infrastructure.bundles.packing import Bundled, pack
from tickdeck.infrastructure.bundles.unpacking import Unpacked, unpacked

__all__ = ["Bundled", "Unpacked", "pack", "unpacked"]
