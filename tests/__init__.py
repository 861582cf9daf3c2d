"""Tests go through the real edges: HTTP, window, file, database engine."""
