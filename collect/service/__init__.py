"""Change what a host serves, so that it goes on serving whatever happens.

Ships to the host with the runner: Python 3.10, standard library and psutil.
"""
