"""Tests of the settlement of suppliers."""
