"""The whole store against a plain dict, one step after another."""
