"""The built-in checks, registered through the same hooks as everybody's."""
