"""The host runner: executes a plan on the benched host, alone, without the control machine.

Ships as one zipapp together with `collect.errors`, `collect.decode` and `collect.model`. Standard
library and psutil only, Python 3.10: it runs on whatever Python the host brings.
"""
