"""The model gate: a trained model is read without running it, judged, tried by attacks in a jail, and written anew.

Words: a *program* is a model as the platform understands it: a few steps of arithmetic over named columns, in one
vocabulary whatever the format was; a *member* is somebody whose rows the model was trained on, a *holdout* person is
one whose rows it never saw; *evidence* is what the jailed worker measured of a program over the granted release.
Nothing submitted is ever unpickled, imported or executed: what the readers do not know, they refuse.
"""
