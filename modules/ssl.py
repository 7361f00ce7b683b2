"""TLS with the names of CPython's ssl module, on top of MicroPython's built-in tls module."""

import tls
from tls import *


def create_default_context(cadata=None):
    """A client context that checks the server's certificate.

    cadata: the trusted certificates in DER or PEM form, as bytes.
    """
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    context.verify_mode = tls.CERT_REQUIRED
    if cadata:
        context.load_verify_locations(cadata)
    return context


def wrap_socket(
    sock,
    key=None,
    cert=None,
    server_side=False,
    cert_reqs=tls.CERT_NONE,
    cadata=None,
    server_hostname=None,
    do_handshake=True,
):
    """Wrap a connected socket in TLS, in one call.

    key, cert: our own, DER or PEM bytes; cert_reqs, cadata: how the other end is checked.
    Raises OSError with mbedtls' code when the handshake fails.
    """
    context = tls.SSLContext(tls.PROTOCOL_TLS_SERVER if server_side else tls.PROTOCOL_TLS_CLIENT)
    if key is not None:
        context.load_cert_chain(cert, key)
    if cadata is not None:
        context.load_verify_locations(cadata)
    context.verify_mode = cert_reqs
    return context.wrap_socket(
        sock,
        server_side=server_side,
        server_hostname=server_hostname,
        do_handshake_on_connect=do_handshake,
    )
