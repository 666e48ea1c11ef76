"""The imperative shell: observes the cluster and the sources, lets `decide` decide, and acts."""
