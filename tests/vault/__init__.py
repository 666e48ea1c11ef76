"""A real Vault for tests."""
