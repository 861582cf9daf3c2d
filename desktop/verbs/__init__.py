"""The verbs of the command line. Reached through `desktop.cli` only; each does its work through the operations."""
