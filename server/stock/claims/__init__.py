"""The parts of a claim that `server.stock.actions` puts together, and what a process remembers of their outcome."""
