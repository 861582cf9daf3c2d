"""The console's two local databases: `outbox.db` is precious, `replica.db` may be thrown away."""
