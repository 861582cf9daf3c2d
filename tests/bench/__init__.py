"""Benches: each measures one job against a floor in the same run and prints one JSON object as its last line.

`make bench NAME=x` runs `tests.bench.x`. A bench starts and stops what it needs, is bounded in time, takes turns
between ours and the floor, and fails only when a correctness figure is not zero, never for being slow. Files that
start with `_` are its parts. Nothing here is collected by pytest.
"""
