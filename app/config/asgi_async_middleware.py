"""ASGI with middleware that stays on the event loop: `config.asgi_async_middleware:application`.

Django's own handler with the settings of `config.settings_async`; what that costs stands in
`config/middleware_async.py`.
"""

import os

from django.core.asgi import get_asgi_application

# Not setdefault: the entry point is chosen for these settings, whatever the environment names.
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings_async"

application = get_asgi_application()
