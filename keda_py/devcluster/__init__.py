"""The embedded cluster: as much of Kubernetes as autoscaling touches, in this process, for trying and for testing."""
