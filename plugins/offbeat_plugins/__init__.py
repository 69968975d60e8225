"""offbeat's own plugins, found through entry points like anybody else's."""
