"""What a run wrote: the schema, its lines on disk, a table of them, and a run as a whole.

>>> from bench.records import read_records, records_frame
"""

from bench.records.frame import records_frame
from bench.records.jsonl import read_records

__all__ = ["read_records", "records_frame"]
