"""Signatures of requests (AWS Signature Version 4), by AWS's own library.

Imported only when an account at AWS is open: the library is large.
"""

from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keda_py_scalers.aws import Keys


def signed_headers(
    keys: Keys, service: str, region: str, *, method: str, url: str, headers: Mapping[str, str]
) -> dict[str, str]:
    """Return headers and what a signature adds to them; good for some minutes, and for this very request.

    `url`: as it is sent, its query in AWS's canonical encoding. `headers`: those that are signed beside Host.
    """
    request = AWSRequest(method=method, url=url, headers=dict(headers))
    credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token or None)
    SigV4Auth(credentials, service, region).add_auth(request)
    return dict(request.headers.items())
