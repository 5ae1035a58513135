"""``vocoder-bench vocode``: a folder of mels to a folder of WAVs, on every GPU of a Ray cluster."""

import argparse
import sys
import time

from bench.commands import Commands
from bench.errors import InputError


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("vocode", help="a folder of mels to a folder of WAVs, by Ray")
    parser.add_argument("case", metavar="CASE", help="what runs, such as v3-eager-fp16-b1-t468")
    parser.add_argument("mels", metavar="MELS", help="folder of .npy and .safetensors files")
    parser.add_argument("out", metavar="OUT", help="folder of WAVs; those that are there and whole are kept")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="of every engine (cuda where there is a GPU)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="engines, a GPU each (1)")
    parser.add_argument("--weights", metavar="LIST", help="default: synthetic weights")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of synthetic weights (0)")
    parser.add_argument("--engine-cache", metavar="DIR", help="where built engines are kept, or off")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads of each engine (1)")
    parser.add_argument("--encoding", default="pcm16", choices=("pcm16", "float32"), help="of the samples (pcm16)")
    parser.add_argument("--fallback", action="store_true", help="eager runs shapes that the backend does not take")
    parser.add_argument("--batch-frames", type=int, default=4096, metavar="N", help="frames of an inference (4096)")
    parser.add_argument("--batch-items", type=int, default=16, metavar="N", help="mels of an inference (16)")
    parser.add_argument("--most-frames", type=int, default=12_000, metavar="N", help="longest mel (12000)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Vocodes what is not there yet; 1 where a mel failed."""
    for name in ("workers", "threads", "batch_frames", "batch_items", "most_frames"):
        if getattr(arguments, name) < 1:
            raise InputError(f"--{name.replace('_', '-')} is a number from 1, not {getattr(arguments, name)}")
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from bench.case import parse_case
    from bench.files import user_path, user_paths
    from bench.run.device import find_device
    from bench.serve.offline import find_mels, is_whole
    from bench.serve.ray_data import vocode_folder
    from bench.serve.settings import BatchLimits, EngineSettings, RequestLimits, ServeSettings

    device = {"cpu": "cpu", "cuda": "cuda:0"}.get(arguments.device) or str(find_device(None))
    weights = () if arguments.weights is None else user_paths(arguments.weights, "--weights")
    engine = EngineSettings(
        case=parse_case(arguments.case),
        device=device,
        weights=tuple(str(path.absolute()) for path in weights),
        seed=arguments.seed,
        threads=arguments.threads,
        engine_cache=arguments.engine_cache,
        fallback=arguments.fallback,
    )
    settings = ServeSettings(
        engine,
        devices=(device,) * arguments.workers,
        batch=BatchLimits(arguments.batch_frames, arguments.batch_items),
        limits=RequestLimits(frames=arguments.most_frames),
    )
    files = find_mels(user_path(arguments.mels, "MELS").absolute(), user_path(arguments.out, "OUT").absolute())
    left = {source: target for source, target in files.items() if not is_whole(target)}
    started, audio_s, failed = time.monotonic(), 0.0, 0
    columns = (TextColumn("vocode"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("vocode", total=len(files), completed=len(files) - len(left))
        for outcome in vocode_folder(left, settings, arguments.encoding) if left else ():
            audio_s, failed = audio_s + outcome.audio_s, failed + bool(outcome.error)
            if outcome.error:
                progress.console.print(outcome.error, markup=False, highlight=False, soft_wrap=True)
            progress.advance(bar)
    seconds = time.monotonic() - started
    sys.stdout.write(
        f"{len(left) - failed} written: {audio_s:.1f} s of audio in {seconds:.1f} s; "
        f"{len(files) - len(left)} kept, {failed} failed\n"
    )
    return 1 if failed else 0
