"""One module per command; each holds a `command` that `cas.cli.main` loads when it is asked for."""
