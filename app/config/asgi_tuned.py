"""One synchronous thread and middleware on the event loop: `config.asgi_tuned:application`.

Both tunings together, with the price of both: `config/asgi_shared_thread.py` and
`config/middleware_async.py`.
"""

import os

# Before the import, which sets Django up. Not setdefault: the entry point is chosen for these
# settings, whatever the environment names.
os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings_async"

from config.asgi_shared_thread import application

__all__ = ["application"]
