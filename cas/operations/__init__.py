"""One user-visible act per module. Each returns an outcome and never prints."""
