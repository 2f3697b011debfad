"""The contract of ``EventStore`` as tests. Subclass ``EventStoreContract`` to test your own store."""

from tickdeck.testing.event_store.appending import AppendingTests
from tickdeck.testing.event_store.events import CHILDREN, ROOTS, SYMBOLS, make, make_cascade, trades
from tickdeck.testing.event_store.reading import ReadingTests
from tickdeck.testing.event_store.streams import StreamTests

__all__ = ["CHILDREN", "ROOTS", "SYMBOLS", "EventStoreContract", "make", "make_cascade", "trades"]


class EventStoreContract(AppendingTests, ReadingTests, StreamTests):
    """Tests for a store. Define a subclass whose name begins with ``Test``, and ``open`` your store in it::

    class TestMyStore(EventStoreContract):
        def open(self, folder: Path) -> EventStore:
            return MyStore(folder / "events")
    """
