"""The options of a sweep: one table, which pytest and ``vocoder-bench`` both show and both read through.

Values come as the text that was typed and are checked here, so that a wrong one is the same sentence everywhere.
Nothing heavy is imported: the table is shown before anything runs, and in a Python that lacks torch.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import InputError
from bench.files import user_path, user_paths
from bench.run.load.plan import PLAN_OF_DEVICE, PLANS, LoadPlan
from bench.spec import TRAINED_DEMO

if TYPE_CHECKING:
    from bench.measure.sampling import StopRule
    from bench.run.settings import Settings

# The axes of a sweep, in a profile and on the command line.
AXES = ("versions", "backends", "precisions", "batches", "frames")


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: With its dashes.
        metavar: What its value is called.
        help: One line.
        choices: The values it takes; empty for any.
        old: An earlier spelling that still works.
        flag: Whether it takes no value.
    """

    name: str
    metavar: str
    help: str
    choices: tuple[str, ...] = ()
    old: str = ""
    flag: bool = False

    @property
    def key(self) -> str:
        """The option's name in a mapping of values."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def old_key(self) -> str:
        """The earlier spelling's name, likewise; empty where there is none."""
        return self.old.removeprefix("--").replace("-", "_")


OPTIONS = (
    Option(
        "--profile",
        "NAME",
        "smoke, standard, full, nightly, shapes, or a .toml file (default: smoke on a CPU, standard on a GPU)",
    ),
    Option("--versions", "LIST", "v3,v4"),
    Option("--backends", "LIST", "such as eager,torchscript,tensorrt"),
    Option("--precisions", "LIST", "such as fp32,tf32,fp16,bf16,autocast,int8,fp8"),
    Option("--batches", "LIST", "such as 1,4"),
    Option("--frames", "LIST", "mel frames, such as 23,468 or t_ref,t_chunk"),
    Option("--device", "DEVICE", "cpu or cuda:N (default: the first GPU, else cpu)"),
    Option("--weights", "LIST", "v3 directory, v4 vocoder.pth or GPT-SoVITS checkout (default: synthetic weights)"),
    Option("--audio", "FILE", "speech for the inputs (default: the clip that the suite carries)"),
    Option("--results", "DIR", "where runs go (default: results)"),
    Option(
        "--engine-cache",
        "DIR",
        "where built engines are kept, or off (default: the user's cache directory)",
        old="--engines",
    ),
    Option(
        "--static-baseline",
        "WHERE",
        "for which shapes an engine for many is compared with one for the shape alone: all, best (those that it is "
        "tuned for) or off (default: all)",
        choices=("all", "best", "off"),
        old="--twins",
    ),
    Option("--threads", "N", "CPU threads (default: physical cores)"),
    Option("--seed", "N", "seed of weights and order (default: 0)"),
    Option("--repeats", "N", "processes that share a speed case's rounds (default: the profile's, else 1)"),
    Option("--rebuilds", "N", "engine builds that they share, 0 for the one of the cache (default: 0)"),
    Option("--resume", "RUN", "do the cases of this run that are missing or failed, with the options it had"),
    Option("--in-process", "", "run cases in this process, for debugging: no limit holds, a crash ends all", flag=True),
    Option("--ray", "", "spread cases over the machines of a Ray cluster, one GPU a case", flag=True),
    Option("--case-limit-s", "S", "kill a case that takes longer, its builds not counted (default: 1800)"),
    Option("--build-limit-s", "S", "kill a build that takes longer (default: 3600)"),
    Option("--memory-limit-gib", "GIB", "kill a case whose process holds more (default: 0.9 of what is free)"),
    Option(
        "--load", "NAME", "how much load: smoke or standard (default: smoke on a CPU)", choices=("smoke", "standard")
    ),
    Option("--load-clients", "LIST", "clients of the load suite's closed loops, such as 1,8,64"),
    Option("--load-point-s", "S", "seconds of each of the load suite's points (default: the plan's)"),
    Option("--soak-s", "S", "how long the load suite soaks the service (default: not at all)"),
    Option("--sweep-limit-s", "S", "end the sweep after this time; cases that are left are skipped (default: none)"),
)

# What --resume may stand beside: everything else is the run's own.
_WITH_RESUME = ("resume", "in_process", "ray", "case_limit_s", "build_limit_s", "memory_limit_gib", "sweep_limit_s")
_SEED_LIMIT = (1 << 63) - 1
_LIMIT_MOST = 1e9
MOST_REPEATS = 100
_MOST_CLIENTS = 10_000


@dataclass(frozen=True)
class SweepOptions:
    """What was asked for; None and empty stand for the default.

    Attributes:
        profile: Name or path of the profile.
        axes: Lists that take an axis's place in the profile.
        device: Where to run.
        weights: Checkpoint paths.
        audio: Speech that the inputs are made of.
        results: Where runs go.
        engine_cache: As :attr:`bench.run.settings.Settings.engine_cache`.
        static_baseline: As :attr:`bench.run.settings.Settings.static_baseline`.
        threads: CPU threads.
        seed: Of synthetic weights and of the order within rounds.
        repeats: Processes that share a speed case's rounds; None for the profile's.
        rebuilds: Engine builds that they share; 0 for the cache's.
        resume: The run to go on with.
        in_process: Whether cases run in the sweep's own process.
        ray: Whether they run on the machines of a Ray cluster.
        case_limit_s, build_limit_s: Longest case without its builds, and longest build.
        memory_limit_gib: Most memory of a case's process; None for most of what is free.
        sweep_limit_s: Longest sweep; None for no limit.
        load, load_clients, load_point_s, soak_s: Plan of the load suite, and what takes the place of its fields.
        notes: A sentence for each old spelling that was used.
    """

    profile: str | None = None
    axes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    device: str | None = None
    weights: tuple[str, ...] = ()
    audio: str | None = None
    results: str = "results"
    engine_cache: str | None = None
    static_baseline: str = "all"
    threads: int | None = None
    seed: int = 0
    repeats: int | None = None
    rebuilds: int = 0
    resume: Path | None = None
    in_process: bool = False
    ray: bool = False
    case_limit_s: float = 1800.0
    build_limit_s: float = 3600.0
    memory_limit_gib: float | None = None
    sweep_limit_s: float | None = None
    load: str | None = None
    load_clients: tuple[int, ...] = ()
    load_point_s: float | None = None
    soak_s: float | None = None
    notes: tuple[str, ...] = ()

    def settings(self, run_id: str, device: str, threads: int, stop: "StopRule", repeats: int = 1) -> "Settings":
        """The settings of a run.

        Args:
            run_id: Name of the run.
            device: Where it runs.
            threads: CPU threads where none are asked for.
            stop: When a case has been sampled enough.
            repeats: Processes of a case where none are asked for.

        Raises:
            InputError: more builds than processes, or processes that one process would have to be.
        """
        from bench.run.settings import Settings

        wanted = repeats if self.repeats is None else self.repeats
        if self.rebuilds > wanted:
            raise InputError(f"--rebuilds {self.rebuilds} needs --repeats of as many, not {wanted}")
        if self.in_process and self.repeats is None:
            wanted = 1
        if self.in_process and (wanted > 1 or self.rebuilds):
            raise InputError("--repeats and --rebuilds need processes, which --in-process does without; leave out one")
        # A case may change the folder that it runs in.
        return Settings(
            run_id=run_id,
            results=str(Path(self.results).absolute()),
            device=device,
            weights=tuple(path if path == TRAINED_DEMO else str(Path(path).absolute()) for path in self.weights),
            seed=self.seed,
            audio=None if self.audio is None else str(Path(self.audio).absolute()),
            threads=threads if self.threads is None else self.threads,
            engine_cache=self.engine_cache,
            static_baseline=self.static_baseline,
            stop=stop,
            repeats=wanted,
            rebuilds=self.rebuilds,
            load=self.load_plan(device),
        )

    def load_plan(self, device: str) -> LoadPlan:
        """The load suite's plan on a device."""
        plan = PLANS[self.load or PLAN_OF_DEVICE[device.partition(":")[0]]]
        return replace(
            plan,
            clients=self.load_clients or plan.clients,
            point_s=plan.point_s if self.load_point_s is None else self.load_point_s,
            soak_s=plan.soak_s if self.soak_s is None else self.soak_s,
        )


def read_options(values: Mapping[str, str | None]) -> SweepOptions:
    """Checks what was typed.

    Args:
        values: Text by :attr:`Option.key` or :attr:`Option.old_key`; None or absent where nothing was typed.

    Raises:
        InputError: a value that its option does not take, or an option given in both spellings.
    """
    given, notes = _new_spellings(values)
    for option in OPTIONS:
        text = given.get(option.key)
        if text is not None and option.choices and text not in option.choices:
            *most, last = option.choices
            raise InputError(f"{option.name} is {', '.join(most)} or {last}, not {text!r}")
    if "resume" in given:
        others = [option.name for option in OPTIONS if option.key in given and option.key not in _WITH_RESUME]
        if others:
            raise InputError(f"--resume goes on with the options that the run had; leave out {', '.join(others)}")
    paths = {
        key: str(user_path(given[key], f"--{key}")) for key in ("profile", "audio", "results", "resume") if key in given
    }
    threads = whole_number("--threads", given["threads"], least=1, most=_processors()) if "threads" in given else None
    defaults = SweepOptions()
    return SweepOptions(
        profile=paths.get("profile"),
        axes={axis: split_list(f"--{axis}", given[axis]) for axis in AXES if axis in given},
        device=given.get("device"),
        weights=tuple(map(str, user_paths(given["weights"], "--weights"))) if "weights" in given else (),
        audio=paths.get("audio"),
        results=paths.get("results", "results"),
        engine_cache=given.get("engine_cache"),
        static_baseline=given.get("static_baseline", "all"),
        threads=threads,
        seed=whole_number("--seed", given.get("seed", "0"), least=0, most=_SEED_LIMIT),
        repeats=whole_number("--repeats", given["repeats"], least=1, most=MOST_REPEATS) if "repeats" in given else None,
        rebuilds=whole_number("--rebuilds", given.get("rebuilds", "0"), least=0, most=MOST_REPEATS),
        resume=Path(paths["resume"]) if "resume" in paths else None,
        in_process="in_process" in given,
        ray="ray" in given,
        case_limit_s=_limit(given, "case_limit_s") or defaults.case_limit_s,
        build_limit_s=_limit(given, "build_limit_s") or defaults.build_limit_s,
        memory_limit_gib=_limit(given, "memory_limit_gib"),
        sweep_limit_s=_limit(given, "sweep_limit_s"),
        load=given.get("load"),
        load_clients=_clients(given),
        load_point_s=_limit(given, "load_point_s"),
        soak_s=_limit(given, "soak_s"),
        notes=notes,
    )


def _clients(given: Mapping[str, str]) -> tuple[int, ...]:
    name, text = "--load-clients", given.get("load_clients")
    return () if text is None else tuple(whole_number(name, one, 1, _MOST_CLIENTS) for one in split_list(name, text))


def _processors() -> int:
    return os.cpu_count() or 1


def _limit(given: Mapping[str, str], key: str) -> float | None:
    """The number over 0 that was typed for a limit; None where nothing was."""
    text = given.get(key)
    if text is None:
        return None
    name = f"--{key.replace('_', '-')}"
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= _LIMIT_MOST:
        raise InputError(f"{name} is a number over 0 and up to {_LIMIT_MOST:.0e}, not {text!r}")
    return number


def _new_spellings(values: Mapping[str, str | None]) -> tuple[dict[str, str], tuple[str, ...]]:
    """What was typed by the options' present names, and a sentence for each old one."""
    given, notes = {}, []
    for option in OPTIONS:
        new, old = values.get(option.key), values.get(option.old_key) if option.old else None
        if new is not None and old is not None:
            raise InputError(f"{option.old} is an old spelling of {option.name}; give one of them")
        if old is not None:
            notes.append(f"{option.old} is now spelled {option.name}; the old spelling still works")
        text = old if new is None else new
        if text is not None:
            given[option.key] = text
    return given, tuple(notes)


def split_list(option: str, text: str) -> list[str]:
    """The values of a comma-separated option.

    Raises:
        InputError: there is none.
    """
    values = [value.strip() for value in text.split(",") if value.strip()]
    if not values:
        raise InputError(f"{option} is an empty list")
    return values


def whole_number(name: str, text: str, least: int | None = None, most: int | None = None) -> int:
    """The whole number that was typed for an option.

    Raises:
        InputError: it is none, smaller than ``least`` or larger than ``most``.
    """
    wanted = "a whole number" if least is None else f"a whole number from {least}"
    if most is not None:
        wanted += f" to {most}"
    try:
        number = int(text)
    except ValueError:
        raise InputError(f"{name} is {wanted}, not {text!r}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        raise InputError(f"{name} is {wanted}, not {number}")
    return number
