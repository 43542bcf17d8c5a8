from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest
from ninja import Router, Status

from monitoring import checks
from monitoring.schemas import AliveOut, DetailedHealthOut, HealthOut

router = Router(tags=["monitoring"])


@router.get("/health", response=AliveOut, summary="The process answers; nothing else is checked")
def health(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001 - ninja passes it
    return {"status": "ok"}


@router.get("/health/native-async", response=AliveOut, summary="As /health, without any thread")
async def health_native_async(request: HttpRequest) -> dict[str, str]:  # noqa: ARG001
    return {"status": "ok"}


@router.get(
    "/health/async",
    response={HTTPStatus.OK: HealthOut, HTTPStatus.SERVICE_UNAVAILABLE: HealthOut},
    summary="Database and Redis, checked concurrently",
)
async def health_async(request: HttpRequest) -> Status[dict[str, Any]]:  # noqa: ARG001
    return _answer(await checks.run_checks_concurrently())


@router.get(
    "/health/sync",
    response={HTTPStatus.OK: DetailedHealthOut, HTTPStatus.SERVICE_UNAVAILABLE: DetailedHealthOut},
    summary="Database and Redis, checked one after the other, and where this runs",
)
def health_sync(request: HttpRequest) -> Status[dict[str, Any]]:  # noqa: ARG001
    return _answer(checks.run_checks(), **asdict(checks.describe_process()))


def _answer(outcome: checks.Checks, **details: object) -> Status[dict[str, Any]]:
    code = HTTPStatus.OK if outcome.healthy else HTTPStatus.SERVICE_UNAVAILABLE
    status = "ok" if outcome.healthy else "failed"
    return Status(code, {"status": status, "checks": asdict(outcome), **details})
