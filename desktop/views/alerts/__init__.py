"""What runs out, what expires, what looks wrong; and from when on to say so."""
