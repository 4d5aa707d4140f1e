"""Rows of a granted release found again in what is to leave, however they are dressed.

Words: the *export* is the table that would leave, the *release* the table that the analyst was given. A *form* is a way
in which a value is compared (text without case and blanks, a number on a grid, a day); a *pair* says that a column of
the export holds, in a form, values of a column of the release; a *dress* is all pairs that hold together, plus a hash.
A row of the export *reproduces* a record when the values under its dress belong to fewer entities of the release than
the rules let a cell have; rows that many share are labels, as in any table of counts.
"""
