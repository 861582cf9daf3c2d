"""RSA keys of the parties that tests play: one takes as long to make as ten orders, and its value matters to nobody."""

from functools import cache

from cryptography.hazmat.primitives.asymmetric import rsa


@cache
def rsa_key(owner: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of `owner`, which is nobody else's; the same for the whole run of this process."""
    return rsa.generate_private_key(65537, bits)
