"""Orders and the list of exceptions."""
