"""The JSON Lines tape: lines, segments, index, snapshots, writer and reader."""

from tickdeck.infrastructure.tape.jsonl.lines import (
    Commit,
    SegmentHead,
    commit_line,
    segment_line,
    split_event,
    streams_in,
    types_in,
)
from tickdeck.infrastructure.tape.jsonl.reader import JsonlTapeReader
from tickdeck.infrastructure.tape.jsonl.segment_index import (
    SegmentIndex,
    index_path,
    load_index,
    scan_segment,
    store_index,
)
from tickdeck.infrastructure.tape.jsonl.segments import (
    SegmentFile,
    TapeDamaged,
    is_jsonl_tape,
    list_segments,
    read_groups,
    read_head,
    remove_merged,
    tail_size,
)
from tickdeck.infrastructure.tape.jsonl.snapshots import read_snapshots
from tickdeck.infrastructure.tape.jsonl.tape import JsonlTape
from tickdeck.infrastructure.tape.jsonl.walk import records_of

__all__ = [
    "Commit",
    "JsonlTape",
    "JsonlTapeReader",
    "SegmentFile",
    "SegmentHead",
    "SegmentIndex",
    "TapeDamaged",
    "commit_line",
    "index_path",
    "is_jsonl_tape",
    "list_segments",
    "load_index",
    "read_groups",
    "read_head",
    "read_snapshots",
    "records_of",
    "remove_merged",
    "scan_segment",
    "segment_line",
    "split_event",
    "store_index",
    "streams_in",
    "tail_size",
    "types_in",
]
