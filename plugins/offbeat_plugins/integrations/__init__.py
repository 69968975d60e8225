"""Offbeat inside other libraries, each found by its entry point in the group `offbeat.integrations`."""
