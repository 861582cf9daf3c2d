"""The console: windows offscreen, presenters and the engine without a display."""
