"""People and their sessions: staff, suppliers and their users, devices, sign-in. A leaf: imports no other domain."""
