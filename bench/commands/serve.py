"""``vocoder-bench serve``: a case as an HTTP service."""

import argparse

from bench.commands import Commands
from bench.errors import InputError

_MOST = 1e9


def add_parser(commands: Commands) -> None:
    """Adds the command to the command line."""
    parser = commands.add_parser("serve", help="a case as an HTTP service: mels or sound in, WAV out")
    parser.add_argument("case", metavar="CASE", help="what runs, such as v3-eager-fp16-b1-t468")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1: this machine only)")
    parser.add_argument("--port", type=int, default=8000, metavar="N", help="0 for any that is free (8000)")
    parser.add_argument(
        "--devices", metavar="LIST", help="one worker each, such as cuda:0,cuda:1 (the first GPU, else cpu)"
    )
    parser.add_argument("--ray", action="store_true", help="workers are replicas of Ray Serve, a GPU each")
    parser.add_argument("--replicas", type=int, metavar="N", help="how many, with --ray (1)")
    parser.add_argument("--weights", metavar="LIST", help="default: synthetic weights")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of synthetic weights (0)")
    parser.add_argument("--engine-cache", metavar="DIR", help="where built engines are kept, or off")
    parser.add_argument("--threads", type=int, metavar="N", help="CPU threads of each worker")
    parser.add_argument("--policy", default="least-loaded", help="least-loaded or round-robin (least-loaded)")
    parser.add_argument("--in-process", action="store_true", help="no processes for workers: a crash ends the service")
    parser.add_argument(
        "--fallback", action="store_true", help="eager runs shapes that the backend does not take; counted"
    )
    parser.add_argument("--step-frames", type=int, default=1, metavar="N", help="batches are padded to a multiple (1)")
    parser.add_argument(
        "--batch-frames", type=int, default=4096, metavar="N", help="frames of an inference; 0: no batches (4096)"
    )
    parser.add_argument("--batch-items", type=int, default=16, metavar="N", help="items of an inference (16)")
    parser.add_argument(
        "--batch-wait-ms", type=float, default=0.0, metavar="MS", help="how long to wait for company (0)"
    )
    parser.add_argument("--chunk-s", type=float, default=0.25, metavar="S", help="length of a stream's chunks (0.25)")
    parser.add_argument("--body-mib", type=float, default=16.0, metavar="MIB", help="largest body (16)")
    parser.add_argument("--most-frames", type=int, default=12_000, metavar="N", help="longest mel (12000)")
    parser.add_argument("--body-limit-s", type=float, default=10.0, metavar="S", help="longest arrival of a body (10)")
    parser.add_argument("--request-limit-s", type=float, default=60.0, metavar="S", help="longest wait and run (60)")
    parser.add_argument("--queue-limit", type=int, default=256, metavar="N", help="requests inside; more are 503 (256)")
    parser.add_argument(
        "--client-limit", type=int, default=128, metavar="N", help="requests of one address; more are 429 (128)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is told to end."""
    _check(arguments)
    from bench.case import parse_case
    from bench.files import user_paths
    from bench.serve.server import serve
    from bench.serve.settings import MIB, BatchLimits, EngineSettings, RequestLimits, ServeSettings
    from bench.serve.workers import default_threads

    devices = _devices(arguments)
    weights = () if arguments.weights is None else tuple(map(str, user_paths(arguments.weights, "--weights")))
    engine = EngineSettings(
        case=parse_case(arguments.case),
        device=devices[0],
        weights=weights,
        seed=arguments.seed,
        threads=arguments.threads or default_threads(len(devices)),
        engine_cache=arguments.engine_cache,
        fallback=arguments.fallback,
        step_frames=arguments.step_frames,
    )
    batch = BatchLimits(arguments.batch_frames, arguments.batch_items, arguments.batch_wait_ms / 1000)
    limits = RequestLimits(
        body_bytes=round(arguments.body_mib * MIB),
        frames=arguments.most_frames,
        body_s=arguments.body_limit_s,
        request_s=arguments.request_limit_s,
        queue=arguments.queue_limit,
        client=arguments.client_limit,
    )
    settings = ServeSettings(
        engine=engine,
        devices=devices,
        processes=not arguments.in_process,
        policy=arguments.policy,
        batch=batch,
        limits=limits,
        chunk_s=arguments.chunk_s,
        ray=arguments.ray,
    )
    return serve(settings, arguments.host, arguments.port)


def _devices(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The device of each worker."""
    from bench.cluster import find_ray
    from bench.run.device import find_device

    if arguments.ray:
        find_ray("--ray")
        # Ray's GPUs may be on other machines; on each of them a replica sees its own alone.
        device = {"cpu": "cpu", "cuda": "cuda:0"}.get(arguments.devices) or str(find_device(None))
        return (device,) * (arguments.replicas or 1)
    named = [None] if arguments.devices is None else [name.strip() for name in arguments.devices.split(",")]
    return tuple(str(find_device(name)) for name in named)


def _check(arguments: argparse.Namespace) -> None:
    """Refuses numbers that no service can work with."""
    from_zero = ("batch_frames", "batch_wait_ms", "port", "seed")
    for name, value in vars(arguments).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not (0 if name in from_zero else 1e-9) <= value <= _MOST:
            least = "from 0" if name in from_zero else "over 0 and up"
            raise InputError(f"--{name.replace('_', '-')} is a number {least} to {_MOST:.0e}, not {value:g}")
    if arguments.port > 65535:
        raise InputError(f"--port is at most 65535, not {arguments.port}")
    if arguments.replicas is not None and not arguments.ray:
        raise InputError("--replicas are Ray's: add --ray, or name a worker's device each with --devices")
    if arguments.ray and (arguments.in_process or arguments.devices not in (None, "cpu", "cuda")):
        raise InputError("--ray takes --replicas, and --devices cpu or cuda for all of them; leave out --in-process")
    if not 0.02 <= arguments.chunk_s <= 60:
        raise InputError(f"--chunk-s is from 0.02 to 60, not {arguments.chunk_s:g}")
