"""What people do: cases, holds by hand, proposals, directives, corrections."""
