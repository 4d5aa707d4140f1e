"""The differencing memory: what every released output was about, so that a new one is compared with all of them.

Words: an *output's population* is which entities stand in which of its cells; the *roll* of a catalogue entry numbers
its entities, each known by a keyed hash of 64 bits alone; a *mark* is a hash of what an entity adds to a cell, so that
an entity whose rows changed is told from one that is the same; the *family* of an output says which others its figures
can be subtracted from; *kept* is what was released, recalled or not: it was seen.
"""
