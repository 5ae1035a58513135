"""The service's own description, and requests made of it by Schemathesis: none ends in a 5xx."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import safetensors.numpy
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, status_code_conformance

from bench.serve.inputs import NPY, READERS, SAFETENSORS, WAV
from tests.serve.running import Planted, Running, mel, npy, running

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
BODIES = {NPY: npy(mel(30)), SAFETENSORS: safetensors.numpy.save({"mel": mel(30)}), WAV: b"RIFF"}


@pytest.fixture
def service(planted: list[Planted]) -> Iterator[Running]:
    """A service whose worker answers at once."""
    with running() as found:
        assert len(planted) == 1
        yield found


def test_what_is_described(service: Running) -> None:
    """Paths, the bodies that are read, and the statuses that a client must know."""
    found = json.loads(service.get("/openapi.json")[1])
    assert set(found["paths"]) == {"/v1/vocode", "/healthz", "/readyz", "/metrics"}
    vocode = found["paths"]["/v1/vocode"]["post"]
    assert set(vocode["requestBody"]["content"]) == set(READERS)
    assert set(vocode["responses"]) == {"200", "400", "408", "413", "415", "422", "429", "500", "503"}
    assert set(vocode["responses"]["200"]["content"]) == {"audio/wav"}
    assert "Retry-After" in vocode["responses"]["503"]["headers"]


def test_no_request_of_the_description_ends_in_a_5xx(service: Running) -> None:
    """Whatever parameters and bodies are made of the schema, statuses and content types are those described."""
    for media_type, right in BODIES.items():
        schemathesis.openapi.media_type(media_type, st.binary(max_size=300) | st.just(right))
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{service.port}/openapi.json")
    checks = [not_a_server_error, status_code_conformance, content_type_conformance]
    tried = 0

    for found in schema.get_all_operations():
        operation = found.ok()  # type: ignore[union-attr]

        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy())
        def ask(case: schemathesis.Case[Any]) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(checks=checks)

        ask()
    assert tried >= 15
