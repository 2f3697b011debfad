"""Streams whose key an upcast changed: when a tape must look for them."""

from __future__ import annotations

from tickdeck.domain.events import event_class
from tickdeck.infrastructure.tape.moved_streams import may_move, old_types


def test_no_upcast_of_our_own_events_moves_them_so_that_a_tape_does_not_look_for_them() -> None:
    """If this fails, pass ``keeps_stream=True`` to the new ``upcast``, if each event stays in its stream."""
    ours = [kind for kind in old_types() if event_class(kind[0]).__module__.startswith("tickdeck.")]  # type: ignore[union-attr]
    assert ours == []
    assert not may_move("order.accepted", 1)
