"""Production settings; everything that differs between hosts comes from the environment.

Middleware, session and cache settings are those of `django-admin startproject`: the benchmark
measures what a normal project pays, and each middleware shows in the figures.
"""

from pathlib import Path

from config.environment import (
    bound_connections,
    read_database,
    read_flag,
    read_list,
    read_number,
    read_required,
    read_text,
)

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = read_required("DJANGO_SECRET_KEY", "give it a long random value")
DEBUG = read_flag("DJANGO_DEBUG", default=False)
ALLOWED_HOSTS = read_list("DJANGO_ALLOWED_HOSTS", "localhost,127.0.0.1")
# Reported by the sync health check, so that a result says where it was measured.
ENVIRONMENT_NAME = read_text("DJANGO_ENVIRONMENT", "production")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    # Brings the scripts of the API's docs page, which would else come from somebody's CDN.
    "ninja",
    "monitoring",
    "movies",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # Sets Content-Length, without which some servers answer chunked and others close.
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": bound_connections(
        read_database("DATABASE_URL", f"sqlite:///{BASE_DIR / 'db.sqlite3'}"),
        max_age_s=int(read_number("DATABASE_CONN_MAX_AGE_S", 0, at_least=0)),
        max_age_name="DATABASE_CONN_MAX_AGE_S",
        pool_size_name="DATABASE_POOL_SIZE",
    ),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = read_text("REDIS_URL", "redis://127.0.0.1:6379/0")
# Bounds connecting and each answer, apart.
REDIS_TIMEOUT_S = read_number("REDIS_TIMEOUT_S", 1, at_least=0.01)
# Per process; Django under ASGI runs a thread per request, each of which may want a connection.
REDIS_MAX_CONNECTIONS = int(read_number("REDIS_MAX_CONNECTIONS", 16, at_least=1))
# How long a request waits for one of those; longer than Redis takes, since the others hold them
# for as long as a busy process needs to get back to them.
REDIS_POOL_TIMEOUT_S = read_number("REDIS_POOL_TIMEOUT_S", 5, at_least=0.01)

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = read_text("DJANGO_STATIC_ROOT", str(BASE_DIR / "staticfiles"))

# An unbounded `limit` would let one request ask for the whole table, however large.
NINJA_PAGINATION_PER_PAGE = 100
NINJA_PAGINATION_MAX_LIMIT = 1000

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "plain": {"format": "%(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {
        # The journal adds the time and the unit.
        "stderr": {"class": "logging.StreamHandler", "formatter": "plain"},
    },
    "root": {"handlers": ["stderr"], "level": read_text("DJANGO_LOG_LEVEL", "WARNING").upper()},
    # Django gives this logger handlers of its own (console while debugging, mail otherwise).
    "loggers": {"django": {"handlers": [], "propagate": True}},
}
