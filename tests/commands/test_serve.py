"""``vocoder-bench serve``: its options, and the process from its first line to its exit code."""

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import yaml

from bench.cli import build_parser, main
from tests.conftest import PACKAGE
from tests.docs import ROOT
from tests.serve.running import mel, npy, until
from tests.serve.small import checkpoint

CASE = "v3-eager-fp32-b1-t16"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["serve", "v3"], "'v3' is no case"),
        (["serve", CASE, "--devices", "cpu:1"], "unknown device 'cpu:1'"),
        (["serve", CASE, "--replicas", "2"], "--replicas are Ray's: add --ray"),
        (["serve", CASE, "--ray", "--devices", "cpu,cpu"], "--ray takes --replicas"),
        (["serve", CASE, "--policy", "random"], "--policy is least-loaded or round-robin"),
        (["serve", CASE, "--queue-limit", "0"], "--queue-limit is a number over 0"),
        (["serve", CASE, "--request-limit-s", "nan"], "--request-limit-s is a number over 0"),
        (["serve", CASE, "--batch-frames", "-1"], "--batch-frames is a number from 0"),
        (["serve", CASE, "--port", "70000"], "--port is at most 65535"),
        (["serve", CASE, "--chunk-s", "0.001"], "--chunk-s is from 0.02 to 60"),
        (["serve", CASE, "--host", "no.such.host.invalid"], "cannot be listened on"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 before anything is loaded or listened on."""
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


def test_the_process(tmp_path: Path) -> None:
    """It says where it listens, on loopback; answers; and ends with 0 on SIGTERM."""
    command = [sys.executable, "-m", "bench", "serve", CASE, "--in-process", "--port=0", "--threads=1", "--devices=cpu"]
    command += [f"--weights={checkpoint(tmp_path)}", "--engine-cache=off"]
    environment = os.environ | {"PYTHONPATH": PACKAGE}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("listening on http://127.0.0.1:")
        url = line.split()[-1]
        until(lambda: _ready(url), 60)
        request = urllib.request.Request(f"{url}/v1/vocode", npy(mel(40)), {"Content-Type": "application/x-npy"})  # noqa: S310 - our own
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - likewise
            assert len(answer.read()) == 44 + 40 * 256 * 2
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz") as answer:  # noqa: S310 - our own
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_container_s_commands_parse() -> None:
    """The command lines of the Dockerfile and of Compose are this version's, and the port is the host's alone."""
    lines = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8").splitlines()
    entry, default = (yaml.safe_load(line.split(" ", 1)[1]) for line in lines if line.startswith(("ENTRYPOINT", "CMD")))
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8"))
    service = compose["services"]["vocoder"]
    for given in (default, service["command"]):
        found = build_parser().parse_args([*entry, *given][1:])
        assert found.host == "0.0.0.0"  # noqa: S104 - inside the container
    assert service["ports"] == ["127.0.0.1:8000:8000"]
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus.yaml").read_text(encoding="utf-8"))
    assert scraped["scrape_configs"][0]["static_configs"][0]["targets"] == ["vocoder:8000"]
