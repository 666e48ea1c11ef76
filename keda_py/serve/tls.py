"""TLS of a server: its own certificate, and the authority of those who may ask, both replaced while it runs.

Connections are accepted under one outer context whose callback hands each to the newest inner one; so a renewed
certificate or a new front-proxy authority needs no restart and cuts no connection.
"""

import ssl
import tempfile
from pathlib import Path


class ServerTls:
    """A server context with exchangeable parts."""

    def __init__(
        self, *, minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2, ciphers: str = "", asks_clients: bool = True
    ) -> None:
        """`asks_clients`: whether a client may show who it is."""
        self._minimum = minimum
        self._ciphers = ciphers
        self._client_mode = ssl.CERT_OPTIONAL if asks_clients else ssl.CERT_NONE
        self._certificate: tuple[bytes, bytes] | None = None
        self._authority = ""
        self._inner: ssl.SSLContext | None = None
        self.context = self._blank()
        self.context.sni_callback = self._hand_over

    @property
    def has_certificate(self) -> bool:
        """Whether there is anything to serve with."""
        return self._certificate is not None

    def set_certificate(self, certificate: bytes, key: bytes) -> None:
        """Serve with a certificate chain and its key from now on (PEM); raise `ssl.SSLError` if they do not fit."""
        if (certificate, key) != self._certificate:
            self._inner = self._made((certificate, key), self._authority)
            self._certificate = (certificate, key)

    def set_client_authority(self, authority: str) -> None:
        """Accept client certificates of these authorities from now on (PEM); empty accepts none."""
        if authority != self._authority:
            if self._certificate is not None:
                self._inner = self._made(self._certificate, authority)
            self._authority = authority

    def _blank(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = self._minimum
        if self._ciphers:
            context.set_ciphers(self._ciphers)
        # A caller without a certificate is told so by HTTP, one with a stranger's is refused here. It must stand in
        # the outer context: OpenSSL takes certificate and authorities from the inner one, but not this.
        context.verify_mode = self._client_mode
        return context

    def _made(self, certificate: tuple[bytes, bytes], authority: str) -> ssl.SSLContext:
        context = self._blank()
        if authority:
            context.load_verify_locations(cadata=authority)
        # The ssl module reads keys from files only; the folder is ours alone, and gone at once.
        with tempfile.TemporaryDirectory(prefix="keda-py-") as folder:
            paths = Path(folder, "tls.crt"), Path(folder, "tls.key")
            for path, content in zip(paths, certificate, strict=True):
                path.touch(mode=0o600)
                path.write_bytes(content)
            context.load_cert_chain(*paths)
        return context

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int | None:
        if self._inner is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._inner
        return None
