"""Event-driven autoscaling for Kubernetes that takes KEDA's manifests as they are."""

__version__ = "0.1.0"
