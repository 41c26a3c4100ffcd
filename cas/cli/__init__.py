"""The `cas` tool: arguments in, text or JSON out. No storage logic; only here is the environment read."""
