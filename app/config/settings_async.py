"""The settings with middleware that stays on the event loop; for ASGI, harmless under WSGI."""

from config.settings import *  # noqa: F403 - settings are a namespace
from config.settings import MIDDLEWARE as _MIDDLEWARE

_ON_THE_LOOP = {
    "django.middleware.security.SecurityMiddleware": "SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware": "SessionMiddleware",
    "django.middleware.common.CommonMiddleware": "CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware": "CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware": "AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware": "MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware": "XFrameOptionsMiddleware",
}

MIDDLEWARE = [
    f"config.middleware_async.{_ON_THE_LOOP[path]}" if path in _ON_THE_LOOP else path
    for path in _MIDDLEWARE
]
