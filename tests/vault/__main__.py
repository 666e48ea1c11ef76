"""`python -m tests.vault`: build it ahead of the tests, and say where it is."""

from tests.vault.build import binary

print(binary())
