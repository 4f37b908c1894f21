"""Recordings, pictures and videos as files: told by their content, decoded, found below folders."""
