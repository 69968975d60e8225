"""Forms that tables of results can take, each found by its entry point in the group `offbeat.exporters`."""
