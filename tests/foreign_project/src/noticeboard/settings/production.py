import os

from .base import *  # noqa: F403 - how split settings are written

DEBUG = False
SECRET_KEY = os.environ["BOARD_SECRET"]
# Not for signing: the tests look for it in places where it must not be.
MODERATOR_TOKEN = os.environ["BOARD_MODERATOR_TOKEN"]
ALLOWED_HOSTS = ["127.0.0.1"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["BOARD_DATABASE_FILE"],
        "OPTIONS": {
            "timeout": 10,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
        },
    }
}
