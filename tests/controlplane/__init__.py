"""A real Kubernetes control plane on this machine, for tests, benchmarks and `make run`; no container engine needed."""
