"""Records as a table: every record a row, every figure a column."""

import math
import warnings

from bench.case import Case
from bench.records import records_frame
from bench.records.schema import Status
from tests.synthetic_records import failed_record, quality_record, sound_of, speed_of, speed_record

CASE = Case("v3", "tensorrt", "fp16", 2, 23, (("level", "1"),))
FAILED = failed_record(CASE, Status.CRASHED, "went away")


def test_frame_has_every_column_of_every_record() -> None:
    """A frame has one row a record and the same columns whether anything was measured or not."""
    speed = speed_record(CASE)
    frame = records_frame([speed, FAILED])
    assert list(frame.index) == [CASE.id, CASE.id]
    assert frame["timing.median_ms"].iloc[0] == speed_of(speed).timing.median_ms
    assert frame["case.frames"].tolist() == [23, 23]
    assert frame["status"].tolist() == ["ok", "crashed"]
    assert math.isnan(frame["timing.median_ms"].iloc[1])
    failures = records_frame([FAILED])
    for name in (
        "timing.median_ms",
        "throughput.audio_s_per_s",
        "speedup_fp32.ratio",
        "memory.rss_peak_bytes",
        "build.seconds",
        "reason",
    ):
        assert name in failures.columns
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert records_frame([]).empty


def test_a_part_is_no_column_of_its_own() -> None:
    """What holds figures has theirs: a missing build leaves blanks, not a column ``build``."""
    frame = records_frame([FAILED])
    assert not {"build", "weights", "memory", "timing", "result", "environment"} & set(frame.columns)


def test_a_sound_has_its_columns_where_there_is_one() -> None:
    """The figures and the verdict of a sound stand under ``fidelity.``."""
    record = quality_record(CASE)
    frame = records_frame([speed_record(CASE), record])
    assert frame["fidelity.snr_db"].tolist()[1] == sound_of(record).snr_db
    assert frame["fidelity.verdict"].tolist()[1] == "pass"
    assert not [name for name in records_frame([FAILED]).columns if name.startswith("fidelity.")]
