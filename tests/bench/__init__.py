"""Measurements on a real control plane: `make bench`. Never part of a test."""
