"""The commands to a running run: one file each. Each is sent by ``interfaces.cli.sending``."""
