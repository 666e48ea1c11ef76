"""Asyncio tools of the engine that know neither Kubernetes nor autoscaling."""
