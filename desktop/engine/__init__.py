"""The console's engine: one thread that talks to the server. It knows no Qt; the window hears it through events."""
