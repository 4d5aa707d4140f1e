"""The file gate: what a file is by its content, the one way in which the platform writes it, and what it gives away.

`reading` reads and writes anew, `apart` does so in a jail of its own, `overlap` finds a release's rows in what leaves.
"""
