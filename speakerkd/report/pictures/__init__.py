"""The pictures of a report, one kind a file: vector graphics for the page, and the same as PNG beside it."""
