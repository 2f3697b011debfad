"""Runs with real orders against an exchange on localhost, killed at random instants and compared with the exchange.

``case.torture`` is one case: an exchange in a process of its own, one run, and kills that follow from a seed. The
command is ``tools/torture.py``; ``tests/gates/test_torture.py`` runs the same code with a few kills.
"""
