"""Nights that are made up: observations of a sweep under noise of many kinds, all cases of a night at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from bench.compare.noise import BATCHES, CLIP_MADS, QUANTILES, Rounds
from bench.compare.observation import Observation, Processes
from bench.records.jsonl import read_records
from bench.records.schema import Speed

Array = NDArray[np.float64]
Places = NDArray[np.intp]
REPORTS = Path(__file__).resolve().parents[1] / "reports"
MEBIBYTE = 2**20
ROUNDS = (66, 132, 264)  # of a case over all of its processes, a third of the cases each; the nightly profile asks 64


@dataclass(frozen=True)
class Noise:
    """What moves durations that nobody changed; standard deviations of their logarithm unless said otherwise.

    Attributes:
        white: Of each round.
        interruptions: Share of rounds that are longer, by 30 % on average.
        machine_night, machine_drift: The machine's level of a night, and its drift during a case, which the baseline
            in turn shares.
        case_night, case_drift: The case's own, likewise.
        process, control_process: Level of each process, of the case and of its baseline.
        build: Level of each engine build.
        unlike: Spread of the logarithm of the process noise among cases.
        two_modes, dwell: Share of cases with a second mode, 3 to 8 % slower, and the rounds that they stay in one.
        night_modes, mode_night: Share of cases that spend whole nights in such a mode, and of their nights.
        clock_drop: Share of a night in which the clock is 10 % lower; once in two nights.
        missing: Share of cases without an interleaved baseline.
        published: Whether rounds are those of published records, stretch by stretch.
        rounds: Rounds of every case; 0 for :data:`ROUNDS`.
        snr_db: Of the SNR from build to build, in decibels.
    """

    white: float = 0.015
    interruptions: float = 0.04
    machine_night: float = 0.01
    machine_drift: float = 0.005
    case_night: float = 0.001
    case_drift: float = 0.004
    process: float = 0.0
    control_process: float = 0.0
    build: float = 0.0
    unlike: float = 0.0
    two_modes: float = 0.0
    dwell: tuple[float, float] = (2, 5)
    night_modes: float = 0.0
    mode_night: float = 0.3
    clock_drop: float = 0.0
    missing: float = 0.1
    published: bool = False
    rounds: int = 0
    snr_db: float = 0.3


@dataclass
class Sweep:
    """The cases of a sweep, the same every night.

    Attributes:
        cases: How many.
        noise: Of its nights.
        repeats: Processes of a case.
        rebuilds: Builds of a case and night; 0 where one engine from the cache serves all nights.
        rng: Draws everything.
    """

    cases: int
    noise: Noise
    rng: np.random.Generator
    repeats: int = 3
    rebuilds: int = 0
    level: Array = field(init=False)

    def __post_init__(self) -> None:
        rng, cases = self.rng, self.cases
        self.level = rng.uniform(0, 6, cases)
        self.gap = rng.uniform(0.03, 0.08, cases)
        self.own = np.exp(rng.normal(0, self.noise.unlike, cases))
        self.flips = rng.permutation(cases) < self.noise.night_modes * cases
        self.modal = rng.permutation(cases) < self.noise.two_modes * cases
        self.controlled = rng.permutation(cases) >= self.noise.missing * cases
        self.snr = rng.choice([118.0, 58.0, 51.0, 39.0], cases)
        self.series = published_series() if self.noise.published else []
        rounds = [self.noise.rounds] if self.noise.rounds else ROUNDS
        self.rounds = np.array(rounds)[np.arange(cases) % len(rounds)]

    def night(
        self, number: int, slowed: Sequence[int] = (), factor: float = 1.0, values: dict[str, float] | None = None
    ) -> list[Observation]:
        """One night.

        Args:
            number: Names it.
            slowed: Cases that changed.
            factor: By which their durations grew.
            values: By which their other metrics grew, or in decibels, by how much.
        """
        changed = np.zeros(self.cases, bool)
        changed[list(slowed)] = True
        machine = np.full(self.cases, self.rng.normal(0, self.noise.machine_night))
        if self.noise.clock_drop and self.rng.random() < 0.5:
            length = int(self.noise.clock_drop * self.cases)
            start = int(self.rng.integers(0, self.cases - length))
            machine[start : start + length] += math.log(1 / 0.9)
        level = self.level + math.log(factor) * changed + self.rng.normal(0, self.noise.case_night, self.cases)
        level += self.gap * (self.flips & (self.rng.random(self.cases) < self.noise.mode_night))
        found: dict[int, Observation] = {}
        for rounds in np.unique(self.rounds):
            group = np.flatnonzero(self.rounds == rounds)
            case, control = self._rounds(group, int(rounds), machine[group], level[group])
            for place, item in zip(group, self._observations(number, group, case, control), strict=True):
                found[int(place)] = item
        nights = [found[place] for place in range(self.cases)]
        return [_grown(item, values or {}) if changed[place] else item for place, item in enumerate(nights)]

    def _rounds(self, group: Places, rounds: int, machine: Array, level: Array) -> tuple[Array, Array]:
        """Logarithms of durations ``(cases, processes, rounds of one)`` of the cases and of their baselines."""
        noise, rng, repeats = self.noise, self.rng, self.repeats
        shape = (len(group), repeats, rounds // repeats)
        shared = machine[:, None, None] + _slow(rng, shape, 0.97, noise.machine_drift)
        process = rng.normal(0, noise.process, shape[:2]) * self.own[group][:, None]
        builds = max(self.rebuilds, 1)
        built = rng.normal(0, noise.build, (len(group), builds)) if self.rebuilds else np.zeros((len(group), 1))
        case = shared + (level[:, None] + process + built[:, np.arange(repeats) % builds])[..., None]
        case = case + _slow(rng, shape, 0.7, noise.case_drift)
        control = 4.0 + shared + rng.normal(0, noise.control_process, shape[:2])[..., None]
        if self.series:
            mine, theirs = self._stretches(shape)
            return case + mine, control + theirs
        case = case + (self.gap * self.modal)[group][:, None, None] * _modes(rng, shape, noise.dwell)
        return case + _white(rng, shape, noise), control + _white(rng, shape, noise)

    def _stretches(self, shape: tuple[int, int, int]) -> tuple[Array, Array]:
        """Stretches of published rounds, about their median, and of the baseline in the same rounds."""
        mine, theirs = np.empty(shape), np.empty(shape)
        for case, process in np.ndindex(*shape[:2]):
            own, control = self.series[int(self.rng.integers(len(self.series)))]
            picks = (int(self.rng.integers(len(own))) + np.arange(shape[2])) % len(own)
            mine[case, process], theirs[case, process] = own[picks], control[picks]
        return mine, theirs

    def _observations(self, number: int, group: Places, case: Array, control: Array) -> list[Observation]:
        whole, other = (values.reshape(len(group), -1) for values in (case, control))
        levels, controls = _clipped(case).mean(axis=-1), _clipped(control).mean(axis=-1)
        edges = np.linspace(0, whole.shape[1], BATCHES + 1).astype(int)
        batches, control_batches = (
            np.add.reduceat(_clipped(values), edges[:-1], axis=1) / np.diff(edges) for values in (whole, other)
        )
        quantiles = np.quantile(whole, QUANTILES, axis=1).T
        throughput = -np.log(np.exp(case).mean(axis=-1))
        medians = np.exp(np.median(whole, axis=1))
        scatter = np.exp(whole).var(axis=1) / np.exp(whole).mean(axis=1) ** 2 / whole.shape[1]
        builds = tuple(np.arange(self.repeats) % max(self.rebuilds, 1))
        built_s = 30 * np.exp(self.rng.normal(0, 0.15, len(group)))
        memory = 2048 * MEBIBYTE + 2 * MEBIBYTE * self.rng.integers(0, 9, len(group))
        found = []
        for place, index in enumerate(group):
            controlled = bool(self.controlled[index])
            processes = Processes(
                tuple(levels[place]),
                tuple(controls[place]) if controlled else None,
                tuple(throughput[place]),
                tuple(map(int, builds)),
            )
            found.append(
                Observation(
                    run_id=f"night-{number:05}",
                    recorded_at=(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)).isoformat(),
                    kind="speed",
                    id=f"case-{index}",
                    status="ok",
                    reason="",
                    identity={},
                    versions={},
                    values={
                        "time": float(medians[place]),
                        "throughput": float(np.exp(throughput[place].mean())),
                        "memory_allocated": 600.0 * MEBIBYTE,
                        "memory_process": float(memory[place]),
                        "build": float(built_s[place]) if self.rebuilds else 30.0,
                    },
                    rounds=Rounds(
                        tuple(batches[place]),
                        tuple(control_batches[place]) if controlled else None,
                        tuple(quantiles[place]),
                    ),
                    throughput_variance=float(scatter[place]),
                    processes=processes if self.repeats > 1 else None,
                    engines=repr(built_s[place]) if self.rebuilds else None,
                )
            )
        return found

    def sounds(self, number: int, changed: Sequence[int] = (), drop_db: float = 0.0) -> list[Observation]:
        """The quality records of a night, of engines that are built anew."""
        found = []
        for place in range(0, self.cases, 3):
            snr = self.snr[place] + self.rng.normal(0, self.noise.snr_db) - drop_db * (place in changed)
            values = {
                "snr_db": snr,
                "worst_segment_snr_db": snr - 3 + self.rng.normal(0, self.noise.snr_db),
                "lsd_db": 0.2 * math.exp(self.rng.normal(0, 0.05)),
                "mr_stft": 0.005 * math.exp(self.rng.normal(0, 0.05)),
            }
            when = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)).isoformat()
            found.append(Observation(f"night-{number:05}", when, "quality", f"case-{place}", "ok", "", {}, {}, values))
        return found


def _grown(item: Observation, factors: dict[str, float]) -> Observation:
    """The observation with some of its values grown."""
    return replace(item, values={name: value * factors.get(name, 1.0) for name, value in item.values.items()})


def published_series() -> list[tuple[Array, Array]]:
    """Rounds of published records about their median, and of the baseline in turn: logarithms."""
    found = []
    for file in sorted(REPORTS.rglob("records.jsonl")):
        for record in read_records(file):
            speed = record.answer(Speed)
            control = speed.speedup_fp32 if speed else None
            if speed and control and len(control.baseline_samples_ms) == speed.timing.rounds >= 20:
                logs = [np.log(np.array(part)) for part in (speed.timing.samples_ms, control.baseline_samples_ms)]
                found.append((logs[0] - np.median(logs[0]), logs[1] - np.median(logs[1])))
    return found


def _white(rng: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> Array:
    hit = rng.random(shape) < noise.interruptions
    return rng.normal(0, noise.white, shape) + hit * np.log1p(rng.exponential(0.3, shape))


def _slow(rng: np.random.Generator, shape: tuple[int, ...], memory: float, sd: float) -> Array:
    """A first-order autoregression that starts anywhere."""
    shocks = rng.normal(0, sd * math.sqrt(1 - memory**2), shape)
    shocks[..., 0] = rng.normal(0, sd, shape[:-1])
    return np.asarray(signal.lfilter([1.0], [1.0, -memory], shocks, axis=-1))


def _modes(rng: np.random.Generator, shape: tuple[int, ...], dwell: tuple[float, float]) -> Array:
    """Whether a round is in the second mode: two states that last for a while."""
    leave = 1 / rng.uniform(*dwell, shape[:1])[:, None]
    state = rng.random(shape[:2]) < 0.4
    found = np.empty(shape)
    for index in range(shape[2]):
        found[..., index] = state
        state = state != (rng.random(shape[:2]) < leave)
    return found


def _clipped(values: Array) -> Array:
    """:func:`bench.compare.noise.clipped` along the last axis."""
    middle = np.median(values, axis=-1, keepdims=True)
    reach = CLIP_MADS * 1.4826 * np.median(np.abs(values - middle), axis=-1, keepdims=True)
    return np.clip(values, middle - reach, middle + reach)
