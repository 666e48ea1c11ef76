"""Message brokers that tests start: real ones, on free ports, ended with the test."""
