"""Real message brokers for tests, started on free ports of this machine."""
