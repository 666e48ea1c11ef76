"""A real Kubernetes control plane on this machine for tests, benchmarks and `make demo`; no container engine needed."""
