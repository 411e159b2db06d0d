"""Published tables: what papers print, one TOML file a table, with where each number was read."""
