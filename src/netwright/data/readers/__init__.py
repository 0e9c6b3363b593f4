"""Readers: from a path, or from objects in memory, to a Dataset."""

READERS = {
    "folder": "netwright.data.readers.folder:read_folder",
    "table": "netwright.data.readers.table:read_table",
    "series": "netwright.data.readers.series:read_series",
    "text": "netwright.data.readers.text:read_text",
    "idx": "netwright.data.readers.idx:read_idx",
}
