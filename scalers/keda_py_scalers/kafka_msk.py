"""Tokens for Amazon MSK: a signed URL says who we are, as its IAM access control wants it (SASL OAUTHBEARER).

The format is that of aws-msk-iam-sasl-signer. Imported only when an account at AWS is open: its library is large.
"""

import base64
from typing import Final
from urllib.parse import urlencode

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from keda_py_scalers.aws import Keys

SECONDS: Final = 900
"""How long a token is good for; it is needed when a connection is opened, and a new one is made for each."""
_ACTION: Final = {"Action": "kafka-cluster:Connect"}
_SIGNER: Final = {"User-Agent": "keda-py"}


def token_for(keys: Keys, region: str) -> str:
    """Return a token that lets in whoever the keys belong to, if its policies do."""
    request = AWSRequest(method="GET", url=f"https://kafka.{region}.amazonaws.com/?{urlencode(_ACTION)}")
    credentials = Credentials(keys.access_key, keys.secret_key, keys.session_token or None)
    SigV4QueryAuth(credentials, "kafka-cluster", region, expires=SECONDS).add_auth(request)
    # Brokers want to know who signed, and do not want it signed.
    url = f"{request.url}&{urlencode(_SIGNER)}"
    return base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
