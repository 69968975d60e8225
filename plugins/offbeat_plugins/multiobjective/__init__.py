"""What schedulers and searchers of several objectives share."""
