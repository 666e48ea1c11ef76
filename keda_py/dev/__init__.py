"""`keda-py dev`: KEDA's manifests on a cluster within this process. For trying and testing, never for production."""
