"""Tests of the server, its channels and its stand-ins."""
