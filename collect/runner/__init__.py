"""The host runner: executes a plan on the benched host, alone, without the control machine.

Ships as one zipapp together with whatever of `collect` it imports: the model, the verdicts and the
decision, the same code that reports use. Standard library and psutil only, Python 3.10: it runs on
whatever Python the host brings.
"""
