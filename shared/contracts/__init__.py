"""Pydantic models of every request and answer, one file per domain: routes and the console use no others."""
