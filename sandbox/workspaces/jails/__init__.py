"""Jails: bubblewrap containers without any network, their system calls, and who keeps a suspended one still.

`inside` is what a jail is shown of us: the configuration of its Jupyter server and the launcher of its kernels.
"""
