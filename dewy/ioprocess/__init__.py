"""
Processes for files that may hang.

A request that a file system (NFS, FUSE, a dying disk) never answers leaves its
thread in uninterruptible sleep. Nothing ends such a thread, and no signal, exit or
exec ends its process before it. So files that an operator's URL names are looked at
in a process of their own, which dewy can leave behind.
"""
