"""From figures to tables, plots and the HTML page."""
