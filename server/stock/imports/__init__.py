"""Imports of card keys: announced and received (`intake`), judged once more, stored by a job (`ingest`)."""
