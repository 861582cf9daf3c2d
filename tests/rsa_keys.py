"""RSA keys of the parties that tests play: one takes as long to make as ten orders, and its value matters to nobody."""

from functools import cache

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def remember_keys_read() -> None:
    """Prove the primes of each private key once a run: shops are opened a thousand times, and each proof takes 30 ms.

    Before anybody imports the function that reads them.
    """
    serialization.load_pem_private_key = cache(serialization.load_pem_private_key)


@cache
def rsa_key(owner: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of `owner`, which is nobody else's; the same for the whole run of this process."""
    return rsa.generate_private_key(65537, bits)
