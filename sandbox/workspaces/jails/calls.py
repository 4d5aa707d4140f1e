"""The system calls that a jail may make, in groups, each with the reason why it is needed.

Names are the kernel's, of x86-64 and of 64-bit Arm: a name that one of them does not have needs no rule there.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallGroup:
    """Calls that are allowed together: what they are for, and why a notebook needs them."""

    name: str
    why: str
    calls: tuple[str, ...]


def _group(name: str, why: str, calls: str) -> CallGroup:
    return CallGroup(name, why, tuple(calls.split()))


GROUPS = (
    _group(
        "files",
        "opening, reading, writing and naming files; what may be reached is decided by mounts, modes and Landlock",
        """read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 lseek open openat openat2 creat
        close close_range dup dup2 dup3 fcntl flock access faccessat faccessat2 stat fstat lstat newfstatat statx statfs
        fstatfs getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir rename renameat renameat2 link linkat unlink
        unlinkat symlink symlinkat readlink readlinkat chmod fchmod fchmodat fchmodat2 chown fchown fchownat lchown
        umask utime utimes futimesat utimensat truncate ftruncate fallocate sync fsync fdatasync syncfs sync_file_range
        fadvise64 readahead cachestat""",
    ),
    _group(
        "copying",
        "shutil, tar and cp copy within the kernel; vmsplice, which puts a process's own pages in a pipe, is left out",
        "sendfile copy_file_range splice tee pipe pipe2",
    ),
    _group(
        "attributes",
        "shutil.copy2 and cp -p carry extended attributes along",
        """getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr setxattr lsetxattr fsetxattr removexattr
        lremovexattr fremovexattr""",
    ),
    _group(
        "watching",
        "event loops of tornado, asyncio and ZeroMQ; file watchers",
        """poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd
        eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime inotify_init inotify_init1
        inotify_add_watch inotify_rm_watch""",
    ),
    _group(
        "memory",
        "allocators, mapped tables, shared memory between processes of one jail",
        """brk mmap munmap mremap mprotect madvise msync mincore mlock mlock2 munlock mlockall munlockall mseal
        memfd_create get_mempolicy""",
    ),
    _group(
        "threads",
        "polars, numpy and ZeroMQ run threads; each has its lock, its robust list and its restartable sequence",
        """futex futex_waitv futex_wake futex_wait futex_requeue set_robust_list get_robust_list set_tid_address gettid
        rseq membarrier arch_prctl sched_yield map_shadow_stack""",
    ),
    _group(
        "scheduling",
        "thread pools ask how many processors they may use; what a jail really gets is decided by its control group",
        """sched_getaffinity sched_setaffinity sched_getparam sched_setparam sched_getscheduler sched_setscheduler
        sched_getattr sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority setpriority
        ioprio_get ioprio_set getcpu""",
    ),
    _group(
        "processes",
        "subprocess, multiprocessing and shell lines; clone is held by a rule of its own",
        """fork vfork execve execveat exit exit_group wait4 waitid getpid getppid getpgid setpgid getpgrp getsid setsid
        pidfd_open prctl prlimit64 getrlimit setrlimit getrusage times""",
    ),
    _group(
        "signals",
        "interrupting a cell, ending children; only processes of the jail have numbers inside",
        """kill tkill tgkill pidfd_send_signal rt_sigaction rt_sigprocmask rt_sigpending rt_sigsuspend rt_sigtimedwait
        rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn sigaltstack pause restart_syscall""",
    ),
    _group(
        "identity",
        "asking who one is; changing it is left out, as nobody inside can become anybody else",
        "getuid geteuid getgid getegid getresuid getresgid getgroups capget",
    ),
    _group(
        "time",
        "clocks and timers; setting a clock is left out",
        """time gettimeofday clock_gettime clock_getres nanosleep clock_nanosleep alarm getitimer setitimer timer_create
        timer_settime timer_gettime timer_getoverrun timer_delete""",
    ),
    _group(
        "sockets",
        "ZeroMQ's unix sockets, the platform's, event loops; socket and socketpair are held by rules of their own",
        """bind listen accept accept4 connect shutdown getsockname getpeername getsockopt setsockopt sendto
        recvfrom sendmsg recvmsg sendmmsg recvmmsg""",
    ),
    _group("machine", "what the host is, as libraries choose code by it", "uname sysinfo getrandom"),
    _group(
        "giving up rights",
        "a process may restrict itself further: the kernel's launcher does, with Landlock",
        "landlock_create_ruleset landlock_add_rule landlock_restrict_self",
    ),
)
"""Everything that is allowed whatever its arguments. What is in none of them, nor in a rule below, is refused."""

NEWER = {
    "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454, "futex_wait": 455,
    "futex_requeue": 456, "mseal": 462,
}  # fmt: skip
"""Numbers, the same on every machine, of calls that libseccomp 2.5 has no names for yet."""

HIGHEST = 470
"""Numbers above it are answered "no such call": a newer C library then takes the older way, which EPERM forbids."""

NAMESPACE_FLAGS = 0x00000080 | 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
"""Flags of clone that make a namespace: time, mount, cgroup, uts, ipc, user, pid, net."""

SOCKETS = (
    (socket.AF_UNIX, None),
    *((family, kind) for family in (socket.AF_INET, socket.AF_INET6) for kind in (0, 6, 17)),
    (socket.AF_NETLINK, 0),
)
"""Families of sockets, each with its protocol where only some are allowed: TCP, UDP; of netlink, the one that lists
interfaces. With no network namespace but loopback they reach nothing outside."""

PERSONALITIES = (0, 0xFFFFFFFF)
"""PER_LINUX, and the question what it is now. Others switch address randomization off."""

FILE_KINDS = (0, 0o100000, 0o010000, 0o140000)
"""What mknod may make: a plain file, a pipe, a socket; never a device."""

IOCTLS = {
    "TCGETS": 0x5401, "TCSETS": 0x5402, "TCSETSW": 0x5403, "TCSETSF": 0x5404, "TCSBRK": 0x5409, "TCXONC": 0x540A,
    "TCFLSH": 0x540B, "TIOCEXCL": 0x540C, "TIOCSCTTY": 0x540E, "TIOCGPGRP": 0x540F, "TIOCSPGRP": 0x5410,
    "TIOCOUTQ": 0x5411, "TIOCGWINSZ": 0x5413, "TIOCSWINSZ": 0x5414, "FIONREAD": 0x541B, "FIONBIO": 0x5421,
    "TIOCNOTTY": 0x5422, "TIOCGSID": 0x5429, "TIOCGPTN": 0x80045430, "TIOCSPTLCK": 0x40045431, "TIOCGPTPEER": 0x5441,
    "TCGETS2": 0x802C542A, "TCSETS2": 0x402C542B, "TCSETSW2": 0x402C542C, "TCSETSF2": 0x402C542D,
    "FIONCLEX": 0x5450, "FIOCLEX": 0x5451, "FIOASYNC": 0x5452, "FIOQSIZE": 0x5460,
    "SIOCGIFNAME": 0x8910, "SIOCGIFCONF": 0x8912, "SIOCGIFFLAGS": 0x8913, "SIOCGIFADDR": 0x8915,
    "SIOCGIFBRDADDR": 0x8919, "SIOCGIFNETMASK": 0x891B, "SIOCGIFMTU": 0x8921, "SIOCGIFHWADDR": 0x8927,
    "SIOCGIFINDEX": 0x8933, "SIOCETHTOOL": 0x8946, "SIOCGIFTXQLEN": 0x8942,
    "FICLONE": 0x40049409, "FICLONERANGE": 0x4020940D, "FIGETBSZ": 0x2, "FS_IOC_FIEMAP": 0xC020660B,
    "FS_IOC_GETFLAGS": 0x80086601,
}  # fmt: skip
"""Requests of ioctl: terminals (a shell line runs on one), flags of descriptors, questions about interfaces and files.
TIOCSTI and TIOCLINUX, which type into somebody's terminal, are not among them."""


def list_calls() -> tuple[str, ...]:
    """Return the names of all calls that are allowed whatever their arguments."""
    return tuple(call for group in GROUPS for call in group.calls)
