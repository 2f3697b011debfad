"""A run in one zip file: all that it takes to prove it on another machine, and nothing secret."""

from tickdeck.infrastructure.bundles.pack import Bundled, pack
from tickdeck.infrastructure.bundles.unpack import Unpacked, unpacked

__all__ = ["Bundled", "Unpacked", "pack", "unpacked"]
