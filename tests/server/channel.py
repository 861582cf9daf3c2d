"""The channel `sandbox` with keys of a test: a real server that misbehaves on purpose."""

import base64
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding

from server.gateways.sandbox import SandboxGateway
from server.gateways.setup import merged, our_public_pem
from server.outbound import Outbound
from tests.rsa_keys import rsa_key


def pem_of(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def public_pem_of(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def add_sandbox(keys, *, public_pem, merchant_id):
    """Set the channel `sandbox` up in a key ring, as `keys add sandbox` does; answers our public key."""
    given = {"public": public_pem, "merchant_id": merchant_id}
    return our_public_pem(keys.change_channel("sandbox", partial(merged, "sandbox", given=given)))


class Channel:
    """A channel of the test: answers each request as `behave(handler, body)` says, signed with its own key."""

    def __init__(self):
        self.key = rsa_key("channel")
        self.merchant_key = rsa_key("merchant")

    def gateway(self, address, *, outbound=None):
        """A gateway that believes this channel's key and asks at `address`."""
        return SandboxGateway(
            base_url=address,
            merchant_id="shop-1",
            private_key_pem=pem_of(self.merchant_key),
            channel_public_key_pem=public_pem_of(self.key),
            outbound=outbound or Outbound(),
        )

    def signed(self, body, *, at=None):
        timestamp, nonce = str(int(time.time()) if at is None else at), "5f" * 16
        message = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return {
            "Sandbox-Timestamp": timestamp,
            "Sandbox-Nonce": nonce,
            "Sandbox-Signature": base64.b64encode(signature).decode(),
        }

    @contextmanager
    def serving(self, behave):
        """The address of a server that does what `behave` does to every request."""
        channel = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                behave(channel, self)

            def do_POST(self):
                behave(channel, self)

            def log_message(self, *_):
                """Stay quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
