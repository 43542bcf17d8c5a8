from datetime import datetime

from ninja import Schema

from monitoring.checks import CheckStatus


class AliveOut(Schema):
    status: str


class ChecksOut(Schema):
    database: CheckStatus
    redis: CheckStatus


class HealthOut(Schema):
    status: CheckStatus
    checks: ChecksOut


class DetailedHealthOut(HealthOut):
    timestamp: datetime
    uptime_s: float
    hostname: str
    environment: str
    os: str
