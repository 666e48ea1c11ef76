"""The whole daemon on the embedded cluster in virtual time: what must hold whatever happens."""
