"""The airlock: the one way out of a sandbox, by an export request that the platform checks and two people judge.

Words: an *export request* names the outputs of one notebook; a *specification* describes an output in a closed
grammar, so that the platform computes the output itself; a *free-form* output has none; a *finding* is one rule's
answer about one file or cell; a *vote* is one reviewer's; the *vault* keeps bytes by their SHA-256; a *release
record* goes with whatever leaves.
"""
