"""The one API object; each application brings its own router."""

from ninja import NinjaAPI

from monitoring.api import router as monitoring_router
from movies.api import router as movies_router

api = NinjaAPI(
    title="Django starter",
    version="1.0.0",
    description="The workload that serverbench measures.",
)
api.add_router("/django-starter/monitoring", monitoring_router)
api.add_router("/demo/movie", movies_router)
