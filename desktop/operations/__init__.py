"""What the console can do, one module per noun: coroutines over the engine, for the window and the command line.

A query returns `Seen[...]` (what, as of when, live or remembered) or one answer; a change returns a small frozen record
of what changed and tells open lists through the engine. All of them run on the engine's thread
(`engine.submit(...)`) and raise KamengError subclasses only.
"""
