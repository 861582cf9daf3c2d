"""Pydantic models of every request and answer, one file per domain. Routes and the console's engine use these and no others."""
