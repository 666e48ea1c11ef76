"""The certificate: good for a long time, renewed in time, and never a moment in which nobody trusts it."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from keda_py.serve.certificate import Bundle, renewed

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ["keda-metrics-apiserver.keda.svc", "localhost"]


def made(now: datetime = NOW, names: list[str] = NAMES) -> Bundle:
    bundle = renewed(None, names, now)
    assert bundle is not None
    return bundle


def leaf(bundle: Bundle) -> x509.Certificate:
    return x509.load_pem_x509_certificate(bundle.certificate)


def authorities(bundle: Bundle) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(bundle.authority)


def test_a_new_one_covers_the_names_and_is_signed_by_its_authority() -> None:
    bundle = made()
    names = leaf(bundle).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES
    (authority,) = authorities(bundle)
    leaf(bundle).verify_directly_issued_by(authority)
    assert "BEGIN" not in repr(bundle)


def test_it_is_left_alone_for_two_thirds_of_its_life() -> None:
    bundle = made()
    assert renewed(bundle, NAMES, NOW + timedelta(days=240)) is None
    assert renewed(bundle, NAMES[:1], NOW) is None
    fresh = renewed(bundle, NAMES, NOW + timedelta(days=250))
    assert fresh is not None
    assert authorities(fresh) == authorities(bundle)
    assert leaf(fresh).not_valid_after_utc > leaf(bundle).not_valid_after_utc


def test_a_further_name_makes_a_new_certificate() -> None:
    fresh = renewed(made(), [*NAMES, "another"], NOW)
    assert fresh is not None
    assert authorities(fresh) == authorities(made()) or len(authorities(fresh)) == 1


def test_a_new_authority_leaves_the_old_one_trusted_until_it_ends() -> None:
    old = made()
    later = NOW + timedelta(days=2500)
    fresh = renewed(old, NAMES, later)
    assert fresh is not None
    assert len(authorities(fresh)) == 2
    assert authorities(fresh)[1] == authorities(old)[0]
    leaf(fresh).verify_directly_issued_by(authorities(fresh)[0])
    assert renewed(fresh, NAMES, later) is None
    much_later = renewed(fresh, NAMES, NOW + timedelta(days=2500 + 3660))
    assert much_later is not None
    assert authorities(old)[0] not in authorities(much_later)


@pytest.mark.parametrize("part", ["certificate", "key", "authority", "authority_key"])
def test_what_cannot_be_read_is_made_anew(part: str) -> None:
    good = made()
    parts = {"certificate": good.certificate, "key": good.key}
    parts |= {"authority": good.authority, "authority_key": good.authority_key}
    fresh = renewed(Bundle(**{**parts, part: b"no PEM"}), NAMES, NOW)
    assert fresh is not None
    assert renewed(fresh, NAMES, NOW) is None


def test_a_certificate_of_another_authority_is_not_kept() -> None:
    mine, other = made(), made(NOW + timedelta(seconds=1))
    mixed = Bundle(other.certificate, other.key, mine.authority, mine.authority_key)
    fresh = renewed(mixed, NAMES, NOW)
    assert fresh is not None
    assert authorities(fresh) == authorities(mine)


def test_key_and_certificate_belong_together() -> None:
    bundle = made()
    key = serialization.load_pem_private_key(bundle.key, password=None)
    assert key.public_key() == leaf(bundle).public_key()
    assert Bundle.of(bundle.data()) == bundle
    assert Bundle.of({"tls.crt": b""}) is None
    context = ssl.create_default_context(cadata=bundle.authority.decode())
    assert context.get_ca_certs()
