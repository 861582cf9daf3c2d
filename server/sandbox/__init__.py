"""A stand-in payment channel: a process of its own that signs for real.

It exists so that the shop's payment code can be tried without a network and against a peer that does not share its
mistakes: nothing in this folder imports anything of the shop, and the shop imports nothing of this folder except the
command that starts it. What the two have in common is the protocol written in `protocol.py`.
"""
