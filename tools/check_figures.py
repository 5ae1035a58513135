"""Takes the figures of README and published pages from the records, so that none can drift.

    python tools/check_figures.py            # 1 and a list where a page differs from its records
    python tools/check_figures.py --write    # writes the pages anew

A page marks what is taken, and this script fills it in::

    <!-- figures speed 2026-11-26-h200-tensorrt -->
    ...
    <!-- end -->

The first word names one of :data:`TABLES`, the second the run. Further words choose rows: ``v3``, ``static``,
``1x468,4x934`` (either). The ladder is an SVG file, written from :data:`LADDER`.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LADDER = ("2026-11-28-h100-fused", {"v3": (1, 468), "v4": (1, 500)})
LADDER_FILE = "ladder.svg"
MIB = 2**20
_BLOCK = re.compile(r"(<!-- figures ([^\n]*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_SOUNDS = ("speech", "other speech", "higher voice", "loud", "quiet", "pause", "silence")


@dataclass(frozen=True)
class Entry:
    """One record of a published run, as the JSON line has it."""

    values: dict[str, Any]

    @property
    def case(self) -> dict[str, Any]:
        """The case's fields."""
        return dict(self.values["case"])

    @property
    def options(self) -> dict[str, str]:
        """The case's options, without the sources of kernels, which all published engines share."""
        options = dict(self.case["options"])
        options.pop("tactics", None)
        return options

    @property
    def key(self) -> str:
        """The whole case, to find its other record by."""
        return json.dumps(self.case)

    @property
    def shape(self) -> str:
        """Batch x frames."""
        return f"{self.case['batch']}x{self.case['frames']}"

    @property
    def built_for(self) -> str:
        """``static`` or ``range``; empty where no engine is built."""
        if "tensorrt" not in self.case["backend"]:
            return ""
        return "range" if "shapes" in self.options else "static"

    @property
    def name(self) -> str:
        """How a table names the row."""
        options = self.options
        parts = [f"{self.case['version']}, {self.shape}"]
        if not self.built_for:
            parts.append(f"{self.case['backend']} {self.case['precision']}")
            return ", ".join(parts)
        parts += [self.case["precision"]] * (self.case["precision"] != "fp16")
        parts.append("engine for 1x100 to 4x2000" if self.built_for == "range" else "static engine")
        parts += ["no CUDA graph"] * (options.get("cuda_graph") != "on")
        parts += [f"`{name}={options[name]}`" for name in ("level", "streams", "float32") if _telling(name, options)]
        return ", ".join(parts)

    def chosen(self, words: list[str]) -> bool:
        """Whether the row is one that a page asks for: every word, or one of those that a comma joins."""
        case = self.case
        graph = "graph" if self.options.get("cuda_graph") == "on" else "no-graph"
        mine = {case["version"], case["backend"], case["precision"], self.shape, self.built_for, graph}
        return all(mine & set(word.split(",")) for word in words)


def _telling(name: str, options: dict[str, str]) -> bool:
    return name in options and (name, options[name]) != ("level", "1")


def read(run: str) -> list[Entry]:
    """The records of a published run."""
    text = (ROOT / "reports" / run / "records.jsonl").read_text(encoding="utf-8")
    return [Entry(_flat(json.loads(line))) for line in text.splitlines()]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """A record of version 2 with its result's fields beside its own, as version 1 had them."""
    return {"timing": None, "fidelity": None, **record, **(record.get("result") or {})}


def milliseconds(value: float) -> str:
    """Three digits or four.

    >>> milliseconds(2.3004), milliseconds(15.601), milliseconds(237.857)
    ('2.300', '15.60', '237.9')
    """
    return f"{value:.3f}" if value < 10 else f"{value:.2f}" if value < 100 else f"{value:.1f}"


def _timed(run: str, words: list[str], backend: str | None = None) -> Iterator[Entry]:
    for entry in sorted(read(run), key=lambda entry: entry.case["version"]):
        timed = entry.values["timing"] is not None
        if timed and (backend is None or entry.case["backend"] == backend) and entry.chosen(words):
            yield entry


def _time(entry: Entry) -> str:
    timing = entry.values["timing"]
    low, high = (milliseconds(timing[name]) for name in ("ci95_low_ms", "ci95_high_ms"))
    return f"{milliseconds(timing['median_ms'])} ms [{low}, {high}]"


def _ratio(speedup: dict[str, Any] | None) -> str:
    if speedup is None:
        return ""
    return f"{speedup['ratio']:.2f}x [{speedup['ci95_low']:.2f}, {speedup['ci95_high']:.2f}]"


def _in_turn(speedup: dict[str, Any] | None) -> str:
    return "" if speedup is None else f"{milliseconds(speedup['baseline_median_ms'])} ms"


def _verdicts(run: str) -> dict[str, str]:
    judged = (entry for entry in read(run) if entry.values["fidelity"])
    return {entry.key: str(entry.values["fidelity"]["verdict"]) for entry in judged}


def _table(head: list[str], rows: list[list[str]]) -> str:
    if not rows:
        raise ValueError(f"no record of the run is in the table of {', '.join(filter(None, head))}")
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def speed(run: str, words: list[str]) -> str:
    """Engines: time, eager in turn with them, ratios, throughput, sound."""
    head = ["", "TensorRT", "eager fp16, in turn", "over eager fp16", "over eager fp32", "audio s/s, back to back"]
    verdicts = _verdicts(run)
    rows = []
    for entry in _timed(run, words, "tensorrt-onnx"):
        same, fp32 = entry.values["speedup_same_precision"], entry.values["speedup_fp32"]
        throughput = entry.values["throughput"]
        if throughput["method"] != "back-to-back":
            raise ValueError(f"{entry.name}: the throughput is not back to back")
        per_second = f"{_audio_s_per_s(entry):.0f}"
        sound = verdicts.get(entry.key, "not judged")
        rows.append([entry.name, _time(entry), _in_turn(same), _ratio(same), _ratio(fp32), per_second, sound])
    return _table([*head, "sound"], rows)


def pytorch(run: str, words: list[str]) -> str:
    """TorchScript beside eager: both times from rounds in turn, and their ratio."""
    rows = []
    for entry in _timed(run, words, "torchscript"):
        same = entry.values["speedup_same_precision"]
        name = f"{entry.case['version']}, {entry.shape}, {entry.case['precision']}"
        per_second = f"{_audio_s_per_s(entry):.0f}"
        rows.append([name, _in_turn(same), _time(entry), _ratio(same), per_second])
    return _table(["", "eager, in turn", "TorchScript", "over eager", "audio s/s, back to back"], rows)


def launch(run: str, words: list[str]) -> str:
    """How long the host took until an inference was launched, beside the inference."""
    rows = []
    for entry in _timed(run, words):
        timing = entry.values["timing"]
        launched = timing["launch_median_ms"]
        bound = "launch" if launched >= 0.9 * timing["median_ms"] else "the GPU"
        rows.append([entry.name, _time(entry), f"{milliseconds(launched)} ms", bound])
    return _table(["", "median", "launched after", "bound by"], rows)


def sound(run: str, words: list[str]) -> str:
    """SNR and log-spectral distance of every input, with the verdict where it is not a pass."""
    rows = []
    for entry in sorted(read(run), key=lambda entry: entry.case["version"]):
        if entry.values["fidelity"] is None or not entry.chosen(words):
            continue
        cells = []
        for name in _SOUNDS:
            item = entry.values["fidelity"]["inputs"][name]
            mark = "" if item["verdict"] == "pass" else f" **{item['verdict']}**"
            cells.append(f"{item['snr_db']:.1f} dB, {item['lsd_db']:.2f} dB{mark}")
        rows.append([entry.name, *cells, str(entry.values["fidelity"]["verdict"])])
    return _table(["SNR, log-spectral distance", *_SOUNDS, "verdict"], rows)


def engines(run: str, words: list[str]) -> str:
    """What an engine cost: build, load, sizes, break-even, the price of a range; where a run had it first."""
    rows, seen = [], set()
    for entry in _timed(run, words, "tensorrt-onnx"):
        engine = json.dumps([entry.case["version"], entry.case["precision"], entry.options | {"cuda_graph": ""}])
        if engine in seen:
            continue
        seen.add(engine)
        build, static = entry.values["build"], entry.values["speedup_static"]
        rows.append(
            [
                entry.name,
                f"{build['build_s']:.0f} s",
                f"{build['load_s']:.1f} s",
                f"{entry.values['timing']['first_call_ms']:.0f} ms",
                f"{build['engine_bytes'] / MIB:.0f} MiB",
                f"{build['details']['context_bytes'] / MIB:.0f} MiB",
                f"{build['break_even_inferences']:,.0f}",
                f"{100 * (1 / static['ratio'] - 1):+.1f} %" if static else "",
            ]
        )
    head = ["", "build", "load from the cache", "first call", "engine", "context", "inferences that pay for the build"]
    return _table([*head, "time beside its static baseline, in turn"], rows)


def _beside(mine: float, other: float) -> str:
    return f"{mine / MIB:.0f} / {other / MIB:.0f} MiB, {100 * (mine / other - 1):+.1f} %"


def _audio_s_per_s(entry: Entry) -> float:
    return float(entry.values["throughput"]["audio_s_per_s"])


def memory(run: str, words: list[str]) -> str:
    """Memory beside eager of the same precision and shape, by the allocator and engine, and by the process."""
    # What is said of engines chooses no eager.
    shared = [word for word in words if word not in ("graph", "no-graph", "static", "range")]
    eager = {entry.case["version"] + entry.shape: entry for entry in _timed(run, [*shared, "fp16"], "eager")}
    rows = []
    for entry in _timed(run, words, "tensorrt-onnx"):
        base = eager.get(entry.case["version"] + entry.shape)
        if base is None:
            continue
        mine, other = entry.values["memory"], base.values["memory"]
        held = mine["reserved_peak_bytes"] + entry.values["build"]["engine_bytes"]
        process = _beside(mine["process_gpu_bytes"], other["process_gpu_bytes"])
        rows.append([entry.name, _beside(held, other["reserved_peak_bytes"]), process])
    return _table(["engine / eager fp16", "allocator's reserve and engine", "process, CUDA context included"], rows)


def promises(run: str, words: list[str]) -> str:
    """The guide's promises, against eager float16 of the same sweep."""
    rows = []
    for version in ("v3", "v4"):
        entries = list(_timed(run, [version, "graph", *words], "tensorrt-onnx"))
        ratios = [entry.values["speedup_same_precision"]["ratio"] for entry in entries]
        best = max(entries, key=_audio_s_per_s)
        other = max(_timed(run, [version, "fp16"], "eager"), key=_audio_s_per_s)
        rows.append(
            [
                version,
                f"{min(ratios):.2f} to {max(ratios):.2f}x",
                f"{_audio_s_per_s(best) / _audio_s_per_s(other):.2f}x ({best.shape} against {other.shape})",
                f"-{100 * (1 - 1 / min(ratios)):.0f} to -{100 * (1 - 1 / max(ratios)):.0f} %",
            ]
        )
    head = ["", "2-5x speed, in turn", "3-8x throughput, each at its best shape", "-50 to -80 % latency, in turn"]
    return _table(head, rows)


def filled(text: str) -> str:
    """The page with every marked table taken from the records."""

    def table(match: re.Match[str]) -> str:
        name, run, *words = match[2].split()
        return match[1] + TABLES[name](run, words) + match[4]

    return _BLOCK.sub(table, text)


def fastest(run: str, words: list[str]) -> str:
    """Whatever ran, in the order of the sweep: time, ratios to eager in turn, throughput, share of the limit."""
    rows = []
    for entry in _timed(run, words):
        options = "".join(f", `{name}={value}`" for name, value in entry.options.items())
        backend = f"{entry.case['backend']} {entry.case['precision']}{options}"
        same, fp32 = entry.values["speedup_same_precision"], entry.values["speedup_fp32"]
        share = f"{entry.values['roofline']['percent_of_limit']:.0f} %"
        shape = f"{entry.case['version']}, {entry.shape}"
        rows.append([shape, backend, _time(entry), _ratio(same), _ratio(fp32), f"{_audio_s_per_s(entry):.0f}", share])
    head = ["", "backend", "median", "over eager fp16, in turn", "over eager fp32, in turn"]
    return _table([*head, "audio s/s, back to back", "of the limit"], rows)


TABLES: dict[str, Callable[[str, list[str]], str]] = {
    function.__name__: function for function in (speed, pytorch, launch, sound, engines, memory, promises, fastest)
}


def ladder() -> str:
    """Eager, the best plain PyTorch, our kernels and the limit, of one sweep, as bars with their values (SVG)."""
    run, shapes = LADDER
    lines, y = [], 8
    for version, (batch, frames) in shapes.items():
        chosen = [version, "fp16", f"{batch}x{frames}"]
        plain = next(_timed(run, chosen, "cuda-graph"))
        fused = next(entry for entry in _timed(run, chosen, "fused") if not entry.options)
        same, fp32 = fused.values["speedup_same_precision"], fused.values["speedup_fp32"]
        steps = [
            ("eager fp32", fp32["baseline_median_ms"], "", "#8a8f98"),
            ("eager fp16", same["baseline_median_ms"], "waits for Python", "#8a8f98"),
            ("CUDA graph fp16", plain.values["timing"]["median_ms"], "", "#8a8f98"),
            ("fused fp16", fused.values["timing"]["median_ms"], f"{fp32['ratio']:.0f}x eager fp32", "#2f6fb0"),
            ("the GPU's limit", fused.values["roofline"]["floor_ms"], "", "#b7c4d4"),
        ]
        seconds = batch * frames / (93.75 if version == "v3" else 100)
        lines.append(f'<text x="8" y="{y + 14}" font-weight="bold">{version}, {seconds:.0f} s of speech</text>')
        y += 24
        for label, value, note, colour in steps:
            width = 360 * value / max(step[1] for step in steps)
            text = f"{milliseconds(value)} ms" + (f", {note}" if note else "")
            lines.append(f'<text x="128" y="{y + 14}" text-anchor="end">{label}</text>')
            lines.append(f'<rect x="136" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>')
            lines.append(f'<text x="{142 + width:.1f}" y="{y + 14}">{text}</text>')
            y += 24
        y += 12
    body = "\n".join(lines)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 {y}" width="680" height="{y}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img">\n'
        "<title>Milliseconds of one synchronised inference on one H100, batch 1</title>\n"
        f'<rect width="680" height="{y}" fill="#ffffff"/>\n<g fill="#1b1f24">\n{body}\n</g>\n</svg>\n'
    )


def pages() -> Iterator[tuple[Path, str]]:
    """Every file that holds figures, with what it should hold."""
    candidates = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "reports").rglob("*.md"))]
    for file in candidates:
        text = file.read_text(encoding="utf-8")
        if _BLOCK.search(text):
            yield file, filled(text)
    yield ROOT / "reports" / LADDER_FILE, ladder()


def main(argv: list[str] | None = None) -> int:
    """Checks or writes the pages; 1 when one differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the pages anew")
    arguments = parser.parse_args(argv)
    stale = []
    for file, wanted in pages():
        if file.is_file() and file.read_text(encoding="utf-8") == wanted:
            continue
        stale.append(file.relative_to(ROOT).as_posix())
        if arguments.write:
            file.write_text(wanted, encoding="utf-8")
    verb = "written" if arguments.write else "differs from the records"
    for name in stale:
        print(f"{name}: {verb}")
    return 1 if stale and not arguments.write else 0


if __name__ == "__main__":
    sys.exit(main())
