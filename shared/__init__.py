"""What both sides say to each other and the rules both must agree on. No I/O, no Qt, no FastAPI, no SQLAlchemy."""
