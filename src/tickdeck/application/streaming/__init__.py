"""Streams of events between tasks: a bounded queue, a ring buffer, and logs that late subscribers catch up from.

What waits, what is dropped and what is replayed is decided here; sockets and files are not touched.
"""

from tickdeck.application.streaming.frame import Frame
from tickdeck.application.streaming.queue import BoundedAsyncQueue, QueueStatistics
from tickdeck.application.streaming.replay_subscription import subscribe_with_replay
from tickdeck.application.streaming.ring_buffer import RingBuffer

__all__ = ["BoundedAsyncQueue", "Frame", "QueueStatistics", "RingBuffer", "subscribe_with_replay"]
