"""MQTT over TLS, with the mbedtls that the board's image has.

The handshake does not block: while the broker works on its part, the other tasks run. What the chip itself has to
compute is done in one go all the same.
"""

from asyncio import CancelledError, core

from micropython import const

from coldframe import clock
from coldframe.log import getLogger
from coldframe.mqtt.transport import Tcp

_LIMIT = const(16384)  # bytes of a certificate file
_EOF = const(-0x7280)  # MBEDTLS_ERR_SSL_CONN_EOF
_TEXTS = {
    -0x7780: "the broker refuses: it may want a client certificate, another one, or another TLS version",
    _EOF: "the broker ended the connection",
    -0x7200: "what comes from the broker is not TLS; is it another port?",
    -0x6E00: "the broker and this device have no TLS version or cipher in common",
    12: "not enough memory for TLS",
}
# In the handshake. EPIPE, ECONNABORTED, ECONNRESET: which one depends on who was first.
_ENDED = (_EOF, 32, 103, 104)
log = getLogger("mqtt")


class Tls(Tcp):
    """A TLS connection to ``host`` (name or address) and ``port``.

    Args:
        ca: the certificates that the broker's must come from: path of a file in DER or PEM form, or its content as
            bytes. None: whoever answers is trusted, which is warned of in the log.
        cert, key: certificate and private key of this device, in the same forms; for brokers that ask for them.
        server_name: the name that the broker's certificate must bear, if that is not ``host``.

    Files are read at the first connection. Raises ValueError when only one of cert and key is given.
    """

    def __init__(self, host, port=8883, *, ca=None, cert=None, key=None, server_name=None):
        if (cert is None) != (key is None):
            raise ValueError("tls: expected both cert and key, or neither")
        super().__init__(host, port)
        self._files = (ca, cert, key)
        self._name = server_name
        self._context = None
        self._ss = None

    def elsewhere(self, host, port):
        # Its certificate must bear its own name.
        ca, cert, key = self._files
        return Tls(host, port or self.port, ca=ca, cert=cert, key=key)

    async def open(self):
        if self._context is None:
            self._context = self._make()
        checked = self._files[0] is not None
        if not checked or clock.valid():
            return await self._handshake()
        from coldframe.mqtt.tlsdate import Witness

        # Without a date no certificate is valid. Take the one that the broker's certificate began at; what it says
        # counts only if it then proves to be signed by our CA.
        witness = Witness(self._context)
        try:
            return await self._handshake()
        except OSError:
            if not witness.begin():
                raise
        finally:
            witness.end()
        try:
            stream = await self._handshake()
        except BaseException:
            witness.undo()
            raise
        log.warning("the clock was not set; the broker's certificate sets it to %s", witness.date())
        return stream

    async def _handshake(self):
        from gc import collect

        from mqttpacket import poke

        raw = await Tcp.open(self)
        name = self._name
        if name is None and (self._files[0] is not None or self.host.strip("0123456789.")):
            name = self.host  # an address is no server name (RFC 6066, 3), but the certificate may bear it
        collect()  # the buffers want some 20 KB in two pieces
        try:
            self._ss = ss = self._context.wrap_socket(
                raw, server_hostname=name, do_handshake_on_connect=False
            )
            while poke(ss) is None:
                # The direction does not matter: the stream knows what it is waiting for.
                yield core._io_queue.queue_write(ss)
        except BaseException as er:
            # A handshake that failed has let go of the socket, and will not close it; one that was given up has not.
            if isinstance(er, CancelledError) or er.args and er.args[0] == _EOF:
                self.close()
            else:
                self._ss = None
                Tcp.close(self)
            if isinstance(er, OSError) and er.args and er.args[0] in _ENDED:
                text = (
                    "the broker ended the handshake; is it TLS that is spoken at this port, "
                    "or does it want a client certificate?"
                )
            else:
                text = self.explain(er)
            if text is None:
                raise
            raise OSError("TLS: " + text)
        # From here on asyncio may look at the socket alone: mbedtls takes from it no more than it hands on.
        return ss

    def close(self):
        ss = self._ss
        if ss is None:
            Tcp.close(self)
        else:
            self._ss = self.poll = None
            ss.close()  # and with it the socket

    def explain(self, er):
        """What went wrong, as a text, for an exception that the stream raised; None if it says so itself."""
        if isinstance(er, ValueError):
            return _certificate(str(er), self._name or self.host)
        if not isinstance(er, OSError) or not er.args or not isinstance(er.args[0], int):
            return None
        code = er.args[0]
        text = _TEXTS.get(code)
        if text is None and code < 0:
            # -1 to -255 is an error of the socket below.
            text = str(OSError(-code)) if code > -256 else "mbedtls error -0x%04x" % -code
            if len(er.args) > 1:
                text += " (%s)" % er.args[1]
        return text

    def _make(self):
        import tls

        context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
        ca, cert, key = self._files
        if ca is None:
            context.verify_mode = tls.CERT_NONE
            log.warning("%s: no CA given (tls.ca): the broker's certificate is not checked", self)
        else:
            context.verify_mode = tls.CERT_REQUIRED
            for der in _parts(ca, "ca", b"CERTIFICATE-----"):
                _load("ca", context.load_verify_locations, der)
        if cert is not None:
            own = _parts(cert, "cert", b"CERTIFICATE-----")
            if len(own) > 1:
                raise OSError("tls.cert: expected one certificate, got %d" % len(own))
            _load("cert or key", context.load_cert_chain, own[0], _parts(key, "key", b"PRIVATE KEY-----")[0])
        return context


def _load(what, function, *args):
    try:
        function(*args)
    except ValueError as er:
        # mbedtls says "invalid cert" or "invalid key"
        raise OSError("tls: %s (in %s): expected DER or PEM" % (er, what))


def _parts(source, what, kind):
    # The parts of a file, or of bytes, that are of that kind, as DER; mbedtls on small boards does not know PEM.
    data = source
    if isinstance(source, str):
        from coldframe import store

        data = store.read(source, _LIMIT)
        if data is None:
            raise OSError("tls.%s: %s: no such file" % (what, source))
    if b"-----BEGIN " not in data:
        return [data]
    from binascii import a2b_base64

    found = []
    for part in data.split(b"-----BEGIN ")[1:]:
        # With find(), as the ESP8266 has no partition().
        at = part.find(b"\n")
        head, body = (part[:at].strip(), part[at + 1 :]) if at >= 0 else (part.strip(), b"")
        if head.endswith(kind):
            if head.startswith(b"ENCRYPTED") or b"ENCRYPTED" in body:
                raise OSError("tls.%s: expected a key without a passphrase" % what)
            found.append(a2b_base64(body.split(b"-----END", 1)[0]))
    if not found:
        raise OSError("tls.%s: expected a %s, there is none in it" % (what, kind[:-5].decode().lower()))
    return found


def _certificate(text, name):
    # mbedtls' words for what is wrong with the broker's certificate, in ours.
    found = []
    for mark, what in (
        ("(CN) does not match", "it is not for " + name),
        ("not correctly signed", "it is not signed by the CA given in tls.ca"),
        ("has expired", "it has expired, or the clock is wrong"),
        ("starts in the future", "it is not valid yet, or the clock is wrong"),
        ("revoked", "it is revoked"),
    ):
        if mark in text:
            found.append(what)
    return "the broker's certificate is refused: " + (" and ".join(found) or text.strip().replace("\n", "; "))
