"""The Kubernetes API, as thin as it can be: raw JSON, checked statuses, deadlines, and watches that heal."""
