"""From trials to what one reads: rows, statistics, tables, figures."""
