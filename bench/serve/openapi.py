"""What the service's description says of bodies and answers, which are bytes and no models."""

from typing import Any

from bench.serve.inputs import READERS

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_WHY = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"detail": {"type": "string"}},
                "required": ["detail"],
            }
        }
    }
}
_RETRY = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds until another try is sensible."}}


def _why(description: str, *, retry: bool = False) -> dict[str, Any]:
    return {"description": description, **_WHY, **({"headers": _RETRY} if retry else {})}


BODY: dict[str, Any] = {"requestBody": {"required": True, "content": dict.fromkeys(READERS, _BYTES)}}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"description": "WAV of one channel, whole or as it is made.", "content": {"audio/wav": _BYTES}},
    400: _why("The body is no such file."),
    408: _why("The body took too long."),
    413: _why("The body or the mel is too large."),
    415: _why("The content type is none of those."),
    422: _why("A parameter, or a mel that the vocoder does not take."),
    429: _why("This client has too many requests at once.", retry=True),
    500: _why("The worker failed at this request."),
    503: _why("The service is full, not ready, or did not get to it in time.", retry=True),
}
READINESS: dict[int | str, dict[str, Any]] = {503: _why("No worker is ready, or the service ends.", retry=True)}
