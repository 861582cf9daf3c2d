"""The console's protocol: hello and the change feed."""
