"""Readers: from a path, or from objects in memory, to a Dataset."""

READERS = {
    "folder": "netwright.data.readers.folder:read_folder",
    "table": "netwright.data.readers.table:read_table",
    "text": "netwright.data.readers.text:read_text",
}
