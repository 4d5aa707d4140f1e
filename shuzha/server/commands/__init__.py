"""The commands of the command line, by what they need: files alone, or an installation."""
