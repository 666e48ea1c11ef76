"""The serving certificate: given as files, or made here, kept in a Secret, and renewed long before it ends.

Every replica looks after the Secret in the same way, and writes it under the version it has read: of two that renew at
once one is refused and takes what the other made. What is in the Secret has the names that KEDA gives it, so that
either can go on with the other's. The authority goes into the APIService, and the one before it stays in the bundle
while it is valid: no request is refused while replicas change over.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE: Final = timedelta(days=3650)
CERTIFICATE_LIFE: Final = timedelta(days=365)
_BACKDATED: Final = timedelta(hours=1)
_RENEWED_WITH_REST: Final = 1 / 3

SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""Ours, and those that KEDA makes."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A serving certificate with its key, and the authority with its own; all PEM. Keys stay out of `repr`."""

    certificate: bytes
    key: bytes
    authority: bytes
    authority_key: bytes

    def __repr__(self) -> str:
        return "Bundle(…)"

    @classmethod
    def of(cls, data: Mapping[str, bytes]) -> "Bundle | None":
        """Return the bundle of a Secret's data, None if something is missing."""
        try:
            return cls(data["tls.crt"], data["tls.key"], data["ca.crt"], data["ca.key"])
        except KeyError:
            return None

    def data(self) -> dict[str, bytes]:
        """Return it as a Secret's data."""
        return {
            "tls.crt": self.certificate,
            "tls.key": self.key,
            "ca.crt": self.authority,
            "ca.key": self.authority_key,
        }


def renewed(known: Bundle | None, names: Iterable[str], now: datetime) -> Bundle | None:
    """Return the bundle that should take the place of `known`, None while that one is good.

    Renewed are: a certificate or authority past two thirds of its life, one that does not cover `names`, and anything
    that cannot be read. An authority that is still good signs the new certificate.
    """
    names = sorted(set(names))
    if known is None:
        return _issue(*_new_authority(now), names=names, now=now)
    try:
        authorities = x509.load_pem_x509_certificates(known.authority)
        key = serialization.load_pem_private_key(known.authority_key, password=None)
        if not isinstance(key, SigningKey) or _is_old(authorities[0], now):
            return _issue(*_new_authority(now), names=names, now=now, before=authorities)
        if _is_good(known, authorities[0], names, now):
            return None
        return _issue(authorities[0], key, names=names, now=now, before=authorities[1:])
    except (ValueError, TypeError, IndexError):
        return _issue(*_new_authority(now), names=names, now=now)


def _is_good(known: Bundle, authority: x509.Certificate, names: list[str], now: datetime) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(known.certificate)
        serialization.load_pem_private_key(known.key, password=None)
        certificate.verify_directly_issued_by(authority)
        covered = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return not _is_old(certificate, now) and set(names) <= set(covered.get_values_for_type(x509.DNSName))
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False


def _is_old(certificate: x509.Certificate, now: datetime) -> bool:
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return certificate.not_valid_after_utc - now < life * _RENEWED_WITH_REST


def _new_authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    # A name of its own for each: verifiers tell authorities apart by it.
    name = _name(f"KEDA {now:%Y-%m-%dT%H:%M:%SZ}")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(name, name, now, AUTHORITY_LIFE)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()), key


def _issue(
    authority: x509.Certificate,
    authority_key: SigningKey,
    *,
    names: list[str],
    now: datetime,
    before: Iterable[x509.Certificate] = (),
) -> Bundle:
    key = ec.generate_private_key(ec.SECP256R1())
    # KEDA's operator and adapter use theirs as a client, too: with both uses they can go on with ours.
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    issuer_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
    certificate = (
        _builder(_name(names[0]), authority.subject, now, CERTIFICATE_LIFE)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(uses, critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(issuer_key_id, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    trusted = [authority, *(old for old in before if old.not_valid_after_utc > now)]
    return Bundle(_pem(certificate), _key_pem(key), b"".join(_pem(one) for one in trusted), _key_pem(authority_key))


def _builder(subject: x509.Name, issuer: x509.Name, now: datetime, life: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + life)
    )


def _name(text: str) -> x509.Name:
    longest = 64
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:longest])])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: SigningKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
