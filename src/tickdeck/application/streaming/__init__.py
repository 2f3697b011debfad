"""Streams of events between tasks, and the logs from which those who come late catch up."""
