"""Payment channels: HTTP and signatures, one file each behind `port.Gateway`. Imports no domain."""
