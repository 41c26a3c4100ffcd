"""Real servers on loopback, for tests: started when a test first needs one, stopped at the end."""
