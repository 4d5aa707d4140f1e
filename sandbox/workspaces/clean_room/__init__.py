"""The clean room: a jail with a kernel and nothing else, in which a submitted notebook is run again."""
