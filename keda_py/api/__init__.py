"""KEDA's kinds as models: what a manifest may say, and what it means where it says nothing."""
