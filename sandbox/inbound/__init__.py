"""Inbound: an operating unit's own file enters one of its workspaces by an import request, read and judged first.

A file of persons never enters as it is: the one column that may join is made of the release's own pseudonyms, and only
where the grant allows the operation `join`.
"""
