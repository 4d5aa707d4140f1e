"""What holds for every test: no test is judged by how long it took, as the machines are shared and noisy."""

from hypothesis import settings

settings.register_profile("house", settings(deadline=None))
settings.load_profile("house")
