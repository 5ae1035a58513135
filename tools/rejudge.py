"""Judges the sound of published records again, by today's verdict, from what the records keep.

    python tools/rejudge.py reports > reports/rejudged.md

Where sound files lie beside a record, reference and output are compared again: that is the whole verdict on the run's
speech, at 16 bits. Elsewhere the recorded figures decide as far as they go. What is heard was not recorded then, so
that without a failure the verdict is open, but for fp32, whose SNR decides; and the other inputs (quiet speech,
pauses) cannot be judged at all.
"""

import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import soundfile

from bench.quality import Fidelity, Verdict, compare, judge
from bench.records import read_records
from bench.records.schema import Record, Sound

HEAD = """# Published sound, judged again

Written by `tools/rejudge.py` from the records and the sound files that lay beside them when they were published
(commit 717c108 has them); what changed and why is in
[docs/fidelity.md](../docs/fidelity.md). "files": the run's speech was compared again, at 16 bits; its other inputs
cannot be without a GPU. "figures": only recorded figures, among which what is heard is not; where none fails, the
verdict is open.

| run | case | weights | then | now | by | why, or what is heard |
|---|---|---|---|---|---|---|"""


def again(record: Record, sound: Sound, directory: Path) -> tuple[Verdict, str, str]:
    """Today's verdict on a record, the word for it, and what it rests on."""
    files = [directory / record.files[role] for role in ("reference", "test") if role in record.files]
    if len(files) == 2 and all(file.is_file() for file in files):
        (reference, rate), (test, _) = (soundfile.read(file) for file in files)
        verdict = judge(compare(reference, test, rate), sound.tier)
        return verdict, f"{verdict.tier} on speech", "files"
    kept = {item.name: getattr(sound, item.name) for item in fields(Fidelity)}
    verdict = judge(Fidelity(**kept), sound.tier)
    decided = verdict.tier == "fail" or sound.tier == "fp32"
    return verdict, verdict.tier if decided else "open", "figures"


def rows(root: Path) -> Iterator[str]:
    """A line of the table for every judged case of every run."""
    for file in sorted(root.glob("*/records.jsonl")):
        for record in read_records(file.parent):
            sound = record.answer(Sound)
            if sound is None:
                continue
            verdict, now, basis = again(record, sound, file.parent)
            then = f"{sound.verdict}{f': {sound.reason}' if sound.reason else ''}"
            weights = record.weights.name if record.weights else "not recorded"
            why = verdict.reason or verdict.heard
            cells = (file.parent.name, record.id, weights, then, now, basis, why)
            yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Prints the page."""
    sys.stdout.write("\n".join([HEAD, *rows(Path(sys.argv[1]))]) + "\n")


if __name__ == "__main__":
    main()
