"""Streams of events between tasks: a bounded queue, a ring buffer, and logs for late subscribers.

This room decides what waits, what is dropped and what is replayed. It touches neither sockets nor files.
"""

from tickdeck.application.streaming.queue import BoundedAsyncQueue, QueueClosed, QueueStatistics
from tickdeck.application.streaming.replay_subscription import subscribe_with_replay
from tickdeck.application.streaming.ring_buffer import RingBuffer

__all__ = ["BoundedAsyncQueue", "QueueClosed", "QueueStatistics", "RingBuffer", "subscribe_with_replay"]
