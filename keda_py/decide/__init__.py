"""The functional core: what to do, computed from values. No I/O, no clock, no chance; `now` is an argument."""
