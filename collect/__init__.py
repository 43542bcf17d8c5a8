"""serverbench: plan, run, pull and report benchmarks of Django application servers."""

__version__ = "0.1.0"
