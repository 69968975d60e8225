"""Observers that come with offbeat: each one class, found by its entry point in the group `offbeat.reporters`."""
